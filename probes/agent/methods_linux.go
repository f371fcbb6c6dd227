package agent

import (
	"errors"
	"fmt"
	"runtime"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A connector connects a stream to the attempt's address in one way. One that has sent the first message takes it out of messages.
type connector func(s *stream, a Attempt, messages *[][]byte) (Stage, error)

var connectors = map[Method]connector{
	"":         plainly,
	SameSocket: sameSocket,
	Unspec:     unspec,
	FastOpen:   fastOpen,
	Source:     fromSource,
	Route:      byRoute,
	Race:       race,
	Exhaust:    exhaust,
	Resolver:   toResolver,
	IOUring:    byRing,
}

func (s *stream) connectBy(a Attempt, messages *[][]byte) (Stage, error) {
	return connectors[a.Method](s, a, messages)
}

func plainly(s *stream, a Attempt, _ *[][]byte) (Stage, error) {
	if a.Network == Unix {
		return s.connect(unix.AF_UNIX, 0, &unix.SockaddrUnix{Name: a.Path})
	}
	family, sa := sockaddr(a.Addr)
	return s.connect(family, unix.IPPROTO_TCP, sa)
}

// first connects to the allowed destination, where the way has one. That it fails is no obstacle: C2 tells.
func (s *stream) first(a Attempt) error {
	family, sa := sockaddr(a.Also)
	_, err := s.connect(family, unix.IPPROTO_TCP, sa)
	if err == nil {
		_ = unix.Connect(s.fd, sa) // the call after a connect that went on by itself says 0 whatever its address
	}
	return err
}

func sameSocket(s *stream, a Attempt, _ *[][]byte) (Stage, error) {
	if err := s.first(a); err != nil {
		return StageSocket, fmt.Errorf("the first connection: %w", unix.ENOTCONN)
	}
	_, sa := sockaddr(a.Addr)
	return StageConnect, s.reconnect(sa)
}

func unspec(s *stream, a Attempt, _ *[][]byte) (Stage, error) {
	if err := s.first(a); err != nil {
		return StageSocket, fmt.Errorf("the first connection: %w", unix.ENOTCONN)
	}
	raw := unix.RawSockaddrInet4{Family: unix.AF_UNSPEC}
	_, _, errno := unix.Syscall(unix.SYS_CONNECT, uintptr(s.fd), uintptr(unsafe.Pointer(&raw)), unix.SizeofSockaddrInet4)
	if errno != 0 {
		return StageConnect, errno
	}
	_, sa := sockaddr(a.Addr)
	return StageConnect, s.reconnect(sa)
}

// fastOpen puts the first message into the SYN, where a cookie allows it, and connects by the sendto all the same.
func fastOpen(s *stream, a Attempt, messages *[][]byte) (Stage, error) {
	family, sa := sockaddr(a.Addr)
	if err := s.socket(family, unix.SOCK_STREAM, unix.IPPROTO_TCP); err != nil {
		return StageSocket, err
	}
	n, err := unix.SendmsgN(s.fd, (*messages)[0], nil, sa, unix.MSG_FASTOPEN|unix.MSG_NOSIGNAL)
	if err != nil && !errors.Is(err, unix.EINPROGRESS) {
		return StageConnect, err
	}
	if err := s.connected(); err != nil {
		return StageConnect, err
	}
	(*messages)[0] = (*messages)[0][max(0, n):]
	return StageConnect, nil
}

// race flips the address under connect, Count times or until the budget is gone. A connection is used only if the kernel says that it
// is to Addr, so that a nonce never goes to the allowed destination by this. What was met is in the last error.
func race(s *stream, a Attempt, _ *[][]byte) (Stage, error) {
	target, allowed := rawInet4(a.Addr), rawInet4(a.Also)
	var shared unix.RawSockaddrInet4
	shared = allowed
	var stop atomic.Bool
	flipped := make(chan struct{})
	go func() {
		defer close(flipped)
		for i := 0; !stop.Load(); i++ {
			which := &allowed
			if i%2 == 0 {
				which = &target
			}
			shared.Addr, shared.Port = which.Addr, which.Port //nolint:govet // the race is the point
			runtime.Gosched()
		}
	}()
	defer func() { stop.Store(true); <-flipped }()
	last := error(unix.EACCES)
	for i := 0; i < max(1, a.Count) && time.Now().Before(s.deadline); i++ {
		hit, err := s.raceOnce(&shared, a)
		if hit {
			return StageConnect, nil
		}
		if err != nil {
			last = err
		}
	}
	return StageConnect, last
}

func (s *stream) raceOnce(shared *unix.RawSockaddrInet4, a Attempt) (bool, error) {
	if err := s.socket(unix.AF_INET, unix.SOCK_STREAM, unix.IPPROTO_TCP); err != nil {
		return false, err
	}
	_, _, errno := unix.Syscall(unix.SYS_CONNECT, uintptr(s.fd), uintptr(unsafe.Pointer(shared)), unix.SizeofSockaddrInet4)
	var err error
	if errno == unix.EINPROGRESS {
		err = s.connected()
	} else if errno != 0 {
		err = errno
	}
	if err == nil {
		if peer, e := unix.Getpeername(s.fd); e == nil {
			if in, ok := peer.(*unix.SockaddrInet4); ok && in.Addr == a.Addr.Addr().As4() && in.Port == int(a.Addr.Port()) {
				return true, nil
			}
		}
	}
	s.close()
	return false, err
}

func rawInet4(at addrPort) unix.RawSockaddrInet4 {
	raw := unix.RawSockaddrInet4{Family: unix.AF_INET, Addr: at.Addr().As4()}
	p := (*[2]byte)(unsafe.Pointer(&raw.Port))
	p[0], p[1] = byte(at.Port()>>8), byte(at.Port())
	return raw
}

// exhaust holds Count flows to the allowed destination while it dials.
func exhaust(s *stream, a Attempt, _ *[][]byte) (Stage, error) {
	var held []*stream
	defer func() {
		for _, h := range held {
			h.close()
		}
	}()
	family, sa := sockaddr(a.Also)
	for range a.Count {
		h := &stream{deadline: time.Now().Add(20 * time.Millisecond)}
		held = append(held, h)
		if _, err := h.connect(family, unix.IPPROTO_TCP, sa); err != nil {
			break
		}
	}
	return plainly(s, a, nil)
}

// toResolver dials the first nameserver that takes the connection.
func toResolver(s *stream, a Attempt, _ *[][]byte) (Stage, error) {
	servers, err := nameservers()
	if err != nil {
		return StageSocket, err
	}
	stage, last := StageConnect, error(unix.ENETUNREACH)
	for _, ip := range servers {
		family, sa := sockaddr(netipPort(ip, a.Addr.Port()))
		if stage, last = s.connect(family, unix.IPPROTO_TCP, sa); last == nil {
			return stage, nil
		}
		s.close()
	}
	return stage, last
}
