package agent

import (
	"bytes"
	"encoding/binary"
	"errors"
	"time"

	"golang.org/x/sys/unix"
)

// The types of echo messages (RFC 792, RFC 4443).
const (
	echoRequest4, echoReply4 = 8, 0
	echoRequest6, echoReply6 = 128, 129
)

// ping sends echo requests whose payloads are the attempt's messages and waits for one that comes back with the nonce in it.
func ping(a Attempt, r *Result, start time.Time) error {
	s := stream{start: start, deadline: start.Add(a.Budget())}
	defer s.close()
	raw, err := s.pingSocket(a)
	if err != nil {
		return err
	}
	r.Stage = StageWrite
	_, sa := sockaddr(a.Addr)
	clearPort(sa) // a raw socket takes it for a protocol
	for i, payload := range a.Messages() {
		if err := s.sendOne(echoRequest(a.Network, uint16(i+1), payload), nil, sa); err != nil {
			return err
		}
	}
	r.Stage = StageRead
	for {
		reply, err := s.receive()
		if err != nil || reply == nil {
			return err
		}
		if body, ok := echoReply(reply, a.Network, raw); ok && bytes.Contains(body, []byte(a.Nonce)) {
			r.Reply = body
			return nil
		}
		if time.Now().After(s.deadline) { // a raw socket hears everybody's
			return nil
		}
	}
}

// pingSocket asks for what routers and hosts on the way report, as sendTo does. A kernel that lets nobody have a ping socket, which is what
// Linux does unless it is told otherwise, may let root have a raw one: ping(8) tries both.
func (s *stream) pingSocket(a Attempt) (raw bool, err error) {
	proto, level, option := unix.IPPROTO_ICMP, unix.IPPROTO_IP, unix.IP_RECVERR
	if a.Network == ICMP6 {
		proto, level, option = unix.IPPROTO_ICMPV6, unix.IPPROTO_IPV6, unix.IPV6_RECVERR
	}
	family, _ := sockaddr(a.Addr)
	raw = a.Method == Raw
	if !raw {
		err = s.socket(family, unix.SOCK_DGRAM, proto)
		raw = errors.Is(err, unix.EACCES)
	}
	if raw {
		err = s.socket(family, unix.SOCK_RAW, proto)
	}
	if err == nil {
		_ = unix.SetsockoptInt(s.fd, level, option, 1)
	}
	return raw, err
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
func echoRequest(network Network, seq uint16, payload []byte) []byte {
	kind := byte(echoRequest4)
	if network == ICMP6 {
		kind = echoRequest6
	}
	b := []byte{kind, 0, 0, 0, 'B', 'o'}
	b = binary.BigEndian.AppendUint16(b, seq)
	b = append(b, payload...)
	if network == ICMP4 {
		binary.BigEndian.PutUint16(b[2:], checksum(b))
	}
	return b
}

// checksum is the internet's (RFC 1071).
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
func echoReply(b []byte, network Network, raw bool) ([]byte, bool) {
	if raw && network == ICMP4 {
		if len(b) < 20 || len(b) < int(b[0]&15)*4 {
			return nil, false
		}
		b = b[int(b[0]&15)*4:]
	}
	want := byte(echoReply4)
	if network == ICMP6 {
		want = echoReply6
	}
	if len(b) < 8 || b[0] != want {
		return nil, false
	}
	return b[8:], true
}
