package agent

import (
	"errors"
	"net/netip"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A way connects a stream to the attempt's address by one method and has the messages answered.
type way func(s *stream, a Attempt, r *Result) error

var ways = map[Method]way{
	"":         plainly,
	SameSocket: sameSocket,
	Unspec:     unspec,
	FastOpen:   fastOpen,
	Source:     fromSource,
	Route:      byRoute,
	Race:       race,
	Exhaust:    exhaust,
	Flood:      flood,
	Resolver:   toResolver,
	IOUring:    byRing,
	Named:      byName,
	SelfConfig: selfConfigured,
}

func dialTCP(a Attempt, r *Result, start time.Time) error {
	s := stream{start: start, deadline: start.Add(a.Budget())}
	defer s.close()
	return ways[a.Method](&s, a, r)
}

// decided notes when connect was, and hands err on.
func (r *Result) decided(s *stream, err error) error {
	r.ConnectUS = time.Since(s.start).Microseconds()
	return err
}

// converse has the messages answered on a stream that is connected.
func (r *Result) converse(s *stream, a Attempt) (err error) {
	r.Stage, r.Reply, err = s.converse(a.Messages())
	return err
}

func plainly(s *stream, a Attempt, r *Result) (err error) {
	r.Stage, err = s.connectTCP(a.Addr)
	if r.decided(s, err) != nil {
		return err
	}
	return r.converse(s, a)
}

// first connects to Also, as the methods need that dial Addr after it on the same socket.
func (s *stream) first(a Attempt, r *Result) error {
	r.Stage = StagePrepare
	if _, err := s.connectTCP(a.Also); err != nil {
		return err
	}
	// The first connect call after a connect that went on by itself says 0 whatever its address (Linux __inet_stream_connect).
	_, sa := sockaddr(a.Also)
	_ = unix.Connect(s.fd, sa)
	return nil
}

// second connects the same socket to Addr. A connect that succeeds and leaves the socket where it was is none, and what is meant for
// Addr is not sent to Also: its answer would be taken for a forged one.
func (s *stream) second(a Attempt, r *Result) error {
	r.Stage = StageConnect
	_, sa := sockaddr(a.Addr)
	err := s.reconnect(sa)
	if err == nil && s.peer() != a.Addr {
		err = unix.EISCONN
	}
	if r.decided(s, err) != nil {
		return err
	}
	return r.converse(s, a)
}

func sameSocket(s *stream, a Attempt, r *Result) error {
	if err := s.first(a, r); err != nil {
		return err
	}
	return s.second(a, r)
}

// unspec takes the connection to Also back before it dials Addr. Where the kernel does not know that (tsi: EINVAL, libkrunfw 516ceece
// af_tsi.c) Addr is dialled all the same: the wall is asked once more.
func unspec(s *stream, a Attempt, r *Result) error {
	if err := s.first(a, r); err != nil {
		return err
	}
	raw := unix.RawSockaddrInet4{Family: unix.AF_UNSPEC}
	_, _, _ = unix.Syscall(unix.SYS_CONNECT, uintptr(s.fd), uintptr(unsafe.Pointer(&raw)), unix.SizeofSockaddrInet4)
	return s.second(a, r)
}

// fastOpen connects by a sendto that puts the first message into the SYN; without a cookie where the kernel can, so that the nonce is
// on its way before anything was answered.
func fastOpen(s *stream, a Attempt, r *Result) error {
	family, sa := sockaddr(a.Addr)
	if err := s.socket(family, unix.SOCK_STREAM, unix.IPPROTO_TCP); err != nil {
		return err
	}
	_ = unix.SetsockoptInt(s.fd, unix.IPPROTO_TCP, unix.TCP_FASTOPEN_NO_COOKIE, 1)
	r.Stage = StageConnect
	messages := a.Messages()
	sent, err := unix.SendmsgN(s.fd, messages[0], nil, sa, unix.MSG_FASTOPEN|unix.MSG_NOSIGNAL)
	if err == nil || errors.Is(err, unix.EINPROGRESS) {
		err = s.connected()
	}
	if r.decided(s, err) != nil {
		return err
	}
	if len(messages) == 1 {
		r.Stage, r.Reply, err = s.ask(messages[0], len(messages[0])-max(sent, 0))
		return err
	}
	messages[0] = messages[0][max(sent, 0):]
	r.Stage, r.Reply, err = s.converse(messages)
	return err
}

// rawInet4 is an IPv4 address as the kernel reads it.
func rawInet4(addr netip.AddrPort) unix.RawSockaddrInet4 {
	raw := unix.RawSockaddrInet4{Family: unix.AF_INET, Addr: addr.Addr().As4()}
	putPort(&raw.Port, addr.Port())
	return raw
}

// putPort stores a port in the order of the wire.
func putPort(field *uint16, port uint16) {
	p := (*[2]byte)(unsafe.Pointer(field))
	p[0], p[1] = byte(port>>8), byte(port)
}
