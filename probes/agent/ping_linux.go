package agent

import (
	"encoding/binary"
	"time"

	"golang.org/x/sys/unix"
)

// ping sends echo requests whose payloads are the attempt's messages and waits for one that comes back.
func ping(a Attempt, r *Result, start time.Time) error {
	s := stream{start: start, deadline: start.Add(a.Budget())}
	defer s.close()
	family, sa := sockaddr(a.Addr)
	proto, kind, request := unix.IPPROTO_ICMP, unix.SOCK_DGRAM, byte(8)
	if a.Network == ICMP6 {
		proto, request = unix.IPPROTO_ICMPV6, 128
	}
	if a.Method == Raw {
		kind = unix.SOCK_RAW
	}
	if err := s.socket(family, kind, proto); err != nil {
		return err
	}
	clearPort(sa) // a raw socket takes it for a protocol
	r.Stage = StageWrite
	for i, payload := range a.Messages() {
		if err := unix.Sendto(s.fd, echoRequest(request, uint16(i+1), payload), unix.MSG_NOSIGNAL, sa); err != nil {
			return err
		}
	}
	r.Stage = StageRead
	for {
		reply, err := s.receive()
		if err != nil || reply == nil {
			return err
		}
		if body, ok := echoReply(reply, a); ok {
			r.Reply = body
			return nil
		}
		if time.Now().After(s.deadline) {
			return nil
		}
	}
}

func clearPort(sa unix.Sockaddr) {
	switch in := sa.(type) {
	case *unix.SockaddrInet4:
		in.Port = 0
	case *unix.SockaddrInet6:
		in.Port = 0
	}
}

// echoRequest is an ICMP echo request. The kernel fills in the identifier of a ping socket, and the checksum of ICMPv6.
func echoRequest(kind byte, seq uint16, payload []byte) []byte {
	b := []byte{kind, 0, 0, 0, 'B', 'o'}
	b = binary.BigEndian.AppendUint16(b, seq)
	b = append(b, payload...)
	if kind == 8 {
		binary.BigEndian.PutUint16(b[2:], checksum(b))
	}
	return b
}

func checksum(b []byte) uint16 {
	var sum uint32
	for i := 0; i+1 < len(b); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(b[i:]))
	}
	if len(b)%2 == 1 {
		sum += uint32(b[len(b)-1]) << 8
	}
	for sum>>16 != 0 {
		sum = sum&0xffff + sum>>16
	}
	return ^uint16(sum)
}

// echoReply is the payload of an echo reply. A raw IPv4 socket gets the IP header with it.
func echoReply(b []byte, a Attempt) ([]byte, bool) {
	if a.Method == Raw && a.Network == ICMP4 {
		if len(b) < 20 || len(b) < int(b[0]&15)*4 {
			return nil, false
		}
		b = b[int(b[0]&15)*4:]
	}
	reply := byte(0)
	if a.Network == ICMP6 {
		reply = 129
	}
	if len(b) < 8 || b[0] != reply {
		return nil, false
	}
	return b[8:], true
}
