package agent

import (
	"errors"
	"net/netip"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"bottle.internal/internal/echo"
)

// errBudget says that the budget ran out. It has no errno: nothing in the kernel failed.
var errBudget = errors.New("agent: out of time")

// dial makes one attempt, whose clock began at start, on a socket of its own.
func dial(a Attempt, start time.Time) Result {
	r := Result{ID: a.ID, Nonce: a.Nonce}
	s := stream{deadline: start.Add(a.Budget())}
	var err error
	r.Stage, err = s.connect(a.Addr)
	r.ConnectUS = time.Since(start).Microseconds()
	if err == nil {
		r.Stage, r.Reply, err = s.exchange(a.Nonce)
	}
	s.close()
	r.ElapsedUS = time.Since(start).Microseconds()
	r.Errno = errnoOf(err)
	r.Observation = Observe(a, r)
	return r
}

// errnoOf is the kernel's name for err, "" for none and for a budget that ran out.
func errnoOf(err error) string {
	var errno unix.Errno
	if !errors.As(err, &errno) {
		return ""
	}
	if name := unix.ErrnoName(errno); name != "" {
		return name
	}
	return "E" + strconv.Itoa(int(errno))
}

// A stream is one socket and the time by which everything on it is over.
type stream struct {
	fd       int
	open     bool
	deadline time.Time
}

func (s *stream) close() {
	if s.open {
		_ = unix.Close(s.fd)
		s.open = false
	}
}

// connect dials addr. An interrupted connect is not taken up again but made anew: on tsi the late answer to the first would be
// read as the answer to the second (libkrunfw 516ceece af_tsi.c).
func (s *stream) connect(addr netip.AddrPort) (Stage, error) {
	family, sa := sockaddr(addr)
	for {
		fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, unix.IPPROTO_TCP)
		if err != nil {
			return StageSocket, err
		}
		s.fd, s.open = fd, true
		err = unix.Connect(fd, sa)
		if errors.Is(err, unix.EINTR) && time.Now().Before(s.deadline) {
			s.close()
			continue
		}
		if errors.Is(err, unix.EINPROGRESS) {
			err = s.connected()
		}
		return StageConnect, err
	}
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

func sockaddr(addr netip.AddrPort) (int, unix.Sockaddr) {
	ip, port := addr.Addr(), int(addr.Port())
	if ip.Is4() {
		return unix.AF_INET, &unix.SockaddrInet4{Port: port, Addr: ip.As4()}
	}
	zone, _ := strconv.ParseUint(ip.Zone(), 10, 32) // "" is 0: none
	return unix.AF_INET6, &unix.SockaddrInet6{Port: port, Addr: ip.As16(), ZoneId: uint32(zone)}
}

// exchange sends the nonce and reads until the answer is whole, the peer is done, or the budget is gone.
func (s *stream) exchange(n echo.Nonce) (Stage, []byte, error) {
	if err := s.write(echo.Request(n)); err != nil {
		return StageWrite, nil, err
	}
	reply, err := s.read()
	if err != nil {
		return StageRead, reply, err
	}
	return StageDone, reply, nil
}

func (s *stream) write(b []byte) error {
	for len(b) > 0 {
		n, err := unix.SendmsgN(s.fd, b, nil, nil, unix.MSG_NOSIGNAL)
		if err == nil {
			b = b[n:]
			continue
		}
		if err := s.again(err, unix.POLLOUT); err != nil {
			return err
		}
	}
	return nil
}

func (s *stream) read() ([]byte, error) {
	buf := make([]byte, 0, echo.MaxReply)
	for len(buf) < cap(buf) {
		n, err := unix.Read(s.fd, buf[len(buf):cap(buf)])
		if err != nil {
			if err := s.again(err, unix.POLLIN); err != nil {
				return buf, err
			}
			continue
		}
		if n == 0 {
			return buf, nil
		}
		buf = buf[:len(buf)+n]
		if _, err := echo.ParseResponse(buf); err == nil {
			return buf, nil
		}
	}
	return buf, nil
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
