package agent

import (
	"errors"
	"net/netip"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// A stream is one socket, of any type, and the time by which everything on it is over.
type stream struct {
	fd       int
	open     bool
	start    time.Time // of the attempt
	deadline time.Time
}

// part is a stream of the same attempt that has no socket yet and less time.
func (s *stream) part(deadline time.Time) *stream { return &stream{start: s.start, deadline: deadline} }

func (s *stream) close() {
	if s.open {
		_ = unix.Close(s.fd)
		s.open = false
	}
}

func (s *stream) socket(family, kind, proto int) error {
	fd, err := unix.Socket(family, kind|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, proto)
	if err == nil {
		s.fd, s.open = fd, true
	}
	return err
}

// connect dials sa. An interrupted connect is not taken up again but made anew: on tsi the late answer to the first would be
// read as the answer to the second (libkrunfw 516ceece af_tsi.c).
func (s *stream) connect(family, proto int, sa unix.Sockaddr) (Stage, error) {
	for {
		if err := s.socket(family, unix.SOCK_STREAM, proto); err != nil {
			return StageSocket, err
		}
		err := s.reconnect(sa)
		if errors.Is(err, unix.EINTR) && time.Now().Before(s.deadline) {
			s.close()
			continue
		}
		return StageConnect, err
	}
}

// connectTCP dials addr from a fresh socket.
func (s *stream) connectTCP(addr netip.AddrPort) (Stage, error) {
	family, sa := sockaddr(addr)
	return s.connect(family, unix.IPPROTO_TCP, sa)
}

// connectUnix dials a path. A listener whose backlog is full says EAGAIN at once to who does not wait, so the kernel is told how long
// to wait.
func (s *stream) connectUnix(path string) (Stage, error) {
	if err := s.socket(unix.AF_UNIX, unix.SOCK_STREAM, 0); err != nil {
		return StageSocket, err
	}
	left := unix.NsecToTimeval(max(time.Until(s.deadline), time.Millisecond).Nanoseconds())
	if err := unix.SetsockoptTimeval(s.fd, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &left); err != nil {
		return StageSocket, err
	}
	if err := unix.SetNonblock(s.fd, false); err != nil {
		return StageSocket, err
	}
	err := unix.Connect(s.fd, &unix.SockaddrUnix{Name: path})
	if errors.Is(err, unix.EAGAIN) {
		err = errBudget
	}
	if err != nil {
		return StageConnect, err
	}
	return StageConnect, unix.SetNonblock(s.fd, true)
}

// reconnect connects the socket there is.
func (s *stream) reconnect(sa unix.Sockaddr) error {
	err := unix.Connect(s.fd, sa)
	if errors.Is(err, unix.EINPROGRESS) {
		return s.connected()
	}
	return err
}

// connected waits until a connect under way is decided.
func (s *stream) connected() error {
	if err := s.wait(unix.POLLOUT); err != nil {
		return err
	}
	code, err := unix.GetsockoptInt(s.fd, unix.SOL_SOCKET, unix.SO_ERROR)
	if err != nil {
		return err
	}
	if code != 0 {
		return unix.Errno(code)
	}
	return nil
}

// peer is whom the kernel says the socket is connected to; the zero AddrPort is nobody.
func (s *stream) peer() netip.AddrPort {
	sa, err := unix.Getpeername(s.fd)
	if err != nil {
		return netip.AddrPort{}
	}
	return addrOf(sa)
}

func sockaddr(addr netip.AddrPort) (int, unix.Sockaddr) {
	ip, port := addr.Addr(), int(addr.Port())
	if ip.Is4() {
		return unix.AF_INET, &unix.SockaddrInet4{Port: port, Addr: ip.As4()}
	}
	zone, _ := strconv.ParseUint(ip.Zone(), 10, 32) // "" is 0: none
	return unix.AF_INET6, &unix.SockaddrInet6{Port: port, Addr: ip.As16(), ZoneId: uint32(zone)}
}

// addrOf is the address in sa, the zero AddrPort if sa is no internet address.
func addrOf(sa unix.Sockaddr) netip.AddrPort {
	switch in := sa.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(in.Addr), uint16(in.Port))
	case *unix.SockaddrInet6:
		ip := netip.AddrFrom16(in.Addr)
		if in.ZoneId != 0 {
			ip = ip.WithZone(strconv.Itoa(int(in.ZoneId)))
		}
		return netip.AddrPortFrom(ip, uint16(in.Port))
	}
	return netip.AddrPort{}
}

// again waits where err says that a call would have to, and returns err where it says anything else.
func (s *stream) again(err error, events int16) error {
	switch {
	case errors.Is(err, unix.EINTR):
		return nil
	case errors.Is(err, unix.EAGAIN):
		return s.wait(events)
	}
	return err
}

// wait returns when one of events, or an error, is there to be had, or errBudget.
func (s *stream) wait(events int16) error {
	for {
		left := time.Until(s.deadline)
		if left <= 0 {
			return errBudget
		}
		fds := []unix.PollFd{{Fd: int32(s.fd), Events: events}}
		n, err := unix.Poll(fds, int(left.Milliseconds())+1)
		if n > 0 {
			return nil
		}
		if err != nil && !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}
