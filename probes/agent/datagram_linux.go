package agent

import (
	"bytes"
	"errors"
	"slices"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// unheard is what goes to Also before or beside the attempt's message: no canary answers it, and it bears no nonce, so that a nonce seen
// at Also is the attempt's, misdelivered (tsi-and-virtio-net §2).
var unheard = []byte("BOTTLE first")

// A sender sends the attempt's messages on a socket by one method.
type sender func(s *stream, a Attempt, r *Result) error

var senders = map[Method]sender{
	"":         sendTo,
	Connected:  sendConnected,
	FamilyZero: sendFamilyZero,
	SameSocket: sendAlso,
	Batched:    sendBatch,
	Multicast:  sendGroup,
	Broadcast:  sendBroadcast,
	Resolver:   sendResolvers,
	ExtHeaders: sendExtHeaders,
	Link:       sendFrames,
	RawIP:      sendRaw,
}

// sendDatagram sends the attempt's messages in its way and waits for an answer to any of them.
func sendDatagram(a Attempt, r *Result, start time.Time) (err error) {
	s := stream{start: start, deadline: start.Add(a.Budget())}
	defer s.close()
	family, _ := sockaddr(a.Addr)
	if err := s.socket(family, unix.SOCK_DGRAM, unix.IPPROTO_UDP); err != nil {
		return err
	}
	r.Stage = StageWrite
	if err := senders[a.Method](&s, a, r); err != nil {
		return err
	}
	r.Stage = StageRead
	r.Reply, err = s.hear(a)
	return err
}

// sendTo asks for what routers and hosts on the way report (ip(7), IP_RECVERR), which a socket that is not connected is not told.
func sendTo(s *stream, a Attempt, _ *Result) error {
	level, option := unix.IPPROTO_IP, unix.IP_RECVERR
	if a.Network == UDP6 {
		level, option = unix.IPPROTO_IPV6, unix.IPV6_RECVERR
	}
	_ = unix.SetsockoptInt(s.fd, level, option, 1)
	_, sa := sockaddr(a.Addr)
	return s.sendEach(a, sa)
}

func (s *stream) sendEach(a Attempt, sa unix.Sockaddr) error {
	for _, m := range a.Messages() {
		if err := s.sendOne(m, nil, sa); err != nil {
			return err
		}
	}
	return nil
}

// sendOne sends one datagram. The queue of a device may be full for a while.
func (s *stream) sendOne(m, control []byte, sa unix.Sockaddr) error {
	for {
		err := unix.Sendmsg(s.fd, m, control, sa, unix.MSG_NOSIGNAL)
		if err == nil {
			return nil
		}
		if err := s.again(err, unix.POLLOUT); err != nil {
			return err
		}
	}
}

func sendConnected(s *stream, a Attempt, r *Result) error {
	_, sa := sockaddr(a.Addr)
	err := unix.Connect(s.fd, sa)
	if r.decided(s, err) != nil {
		r.Stage = StageConnect
		return err
	}
	return s.sendEach(a, nil)
}

// sendAlso sends to Also first. That this fails is no obstacle.
func sendAlso(s *stream, a Attempt, _ *Result) error {
	_, also := sockaddr(a.Also)
	_ = s.sendOne(unheard, nil, also)
	_, sa := sockaddr(a.Addr)
	return s.sendEach(a, sa)
}

// sendResolvers sends to every nameserver of the guest's. It fails if none could be sent to.
func sendResolvers(s *stream, a Attempt, r *Result) error {
	servers, err := nameservers(a.Addr)
	if err != nil {
		r.Stage = StagePrepare
		return err
	}
	sent := false
	for _, at := range servers {
		_, sa := sockaddr(at)
		if err = s.sendEach(a, sa); err == nil {
			sent = true
		}
	}
	if sent {
		return nil
	}
	return err
}

// sendFamilyZero names no family, which Linux takes for IPv4 in a sendto.
func sendFamilyZero(s *stream, a Attempt, _ *Result) error {
	raw := rawInet4(a.Addr)
	raw.Family = unix.AF_UNSPEC
	for _, m := range a.Messages() {
		_, _, errno := unix.Syscall6(unix.SYS_SENDTO, uintptr(s.fd), uintptr(unsafe.Pointer(&m[0])), uintptr(len(m)), unix.MSG_NOSIGNAL,
			uintptr(unsafe.Pointer(&raw)), unix.SizeofSockaddrInet4)
		if errno != 0 {
			return errno
		}
	}
	return nil
}

// hear waits for an answer with the nonce in it, as an echo has and an answer to a DNS query. The first datagram without is kept in
// case there is no other. Whose answer it is, its sender's address does not say (tsi-and-virtio-net §2): the proof in it does. A
// member of a group hears itself on the guest's loopback.
func (s *stream) hear(a Attempt) ([]byte, error) {
	var foreign []byte
	for {
		b, err := s.receive()
		if b == nil || err != nil {
			return foreign, err
		}
		if a.Method == Multicast && slices.ContainsFunc(a.Messages(), func(m []byte) bool { return bytes.Equal(m, b) }) {
			continue
		}
		if bytes.Contains(bytes.ToLower(b), []byte(a.Nonce)) {
			return b, nil
		}
		if foreign == nil {
			foreign = b
		}
	}
}

// receive waits for one datagram. Silence until the budget is gone is none, and no error: nothing in the kernel failed.
func (s *stream) receive() ([]byte, error) {
	buf := make([]byte, MaxReply)
	for {
		n, _, err := unix.Recvfrom(s.fd, buf, 0)
		if err == nil {
			return buf[:n], nil
		}
		if err := s.again(err, unix.POLLIN); errors.Is(err, errBudget) {
			return nil, nil
		} else if err != nil {
			return nil, err
		}
	}
}
