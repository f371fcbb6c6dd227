package agent

import (
	"bytes"
	"errors"
	"net/netip"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"bottle.internal/internal/echo"
)

// errBudget says that the budget ran out. It has no errno: nothing in the kernel failed.
var errBudget = errors.New("agent: out of time")

// makers make the attempts of each network.
var makers map[Network]func(Attempt, *Result, time.Time) error

func init() {
	makers = map[Network]func(Attempt, *Result, time.Time) error{
		TCP4: dialStream, TCP6: dialStream, Unix: dialStream, VSOCK: dialVSOCK,
		UDP4: sendDatagram, UDP6: sendDatagram, ICMP4: ping, ICMP6: ping,
		Serve: serve, Look: look,
	}
}

// dial makes one attempt, whose clock began at start, on a socket of its own. The stage is at socket until the maker says more.
func dial(a Attempt, start time.Time) Result {
	r := Result{ID: a.ID, Nonce: a.Nonce, Stage: StageSocket}
	make := makers[a.Network]
	if a.Method == OwnNetNS {
		make = dialApart
	}
	err := make(a, &r, start)
	r.ElapsedUS = time.Since(start).Microseconds()
	r.ConnectUS = min(r.ConnectUS, r.ElapsedUS)
	if err != nil {
		r.Errno = errnoOf(err)
	}
	if len(r.Reply) > MaxReply {
		r.Reply = r.Reply[:MaxReply]
	}
	r.Observation = Observe(a, r)
	return r
}

// dialApart has a child make the attempt.
func dialApart(a Attempt, r *Result, start time.Time) error {
	theirs, err := apart(a, start)
	if err == nil {
		r.Stage, r.Errno, r.Reply, r.ConnectUS = theirs.Stage, theirs.Errno, theirs.Reply, theirs.ConnectUS
	}
	return err
}

// dialStream connects in the attempt's way and has its messages answered.
func dialStream(a Attempt, r *Result, start time.Time) (err error) {
	s := stream{deadline: start.Add(a.Budget())}
	defer s.close()
	messages := a.Messages()
	r.Stage, err = s.connectBy(a, &messages)
	r.ConnectUS = time.Since(start).Microseconds()
	if err != nil || len(messages) == 0 {
		return err
	}
	r.Stage, r.Reply, err = s.converse(messages)
	return err
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

// converse sends the messages, each but the first only if the answer to the one before says HTTP 200, and returns the last answer.
func (s *stream) converse(messages [][]byte) (Stage, []byte, error) {
	for _, m := range messages[:len(messages)-1] {
		if err := s.write(m); err != nil {
			return StageWrite, nil, err
		}
		head, err := s.readHead()
		if err != nil || !tunnelled(head) {
			return StageRead, head, err
		}
	}
	if err := s.write(messages[len(messages)-1]); err != nil {
		return StageWrite, nil, err
	}
	reply, err := s.read()
	if err != nil {
		return StageRead, reply, err
	}
	return StageDone, reply, nil
}

// readHead reads up to the empty line that ends a head, a byte at a time: what follows is the far end's.
func (s *stream) readHead() ([]byte, error) {
	var head []byte
	for one := make([]byte, 1); len(head) < echo.MaxReply; {
		n, err := unix.Read(s.fd, one)
		if err != nil {
			if err := s.again(err, unix.POLLIN); err != nil {
				return head, err
			}
			continue
		}
		if n == 0 {
			return head, nil
		}
		if head = append(head, one[0]); bytes.HasSuffix(head, []byte("\r\n\r\n")) {
			return head, nil
		}
	}
	return head, nil
}

func tunnelled(head []byte) bool {
	_, rest, ok := bytes.Cut(head, []byte(" "))
	return ok && bytes.HasPrefix(head, []byte("HTTP/1.")) && bytes.HasPrefix(rest, []byte("200")) && bytes.HasSuffix(head, []byte("\r\n\r\n"))
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

func (s *stream) socket(family, kind, proto int) error {
	fd, err := unix.Socket(family, kind|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, proto)
	if err == nil {
		s.fd, s.open = fd, true
	}
	return err
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

func sockaddr(addr netip.AddrPort) (int, unix.Sockaddr) {
	ip, port := addr.Addr(), int(addr.Port())
	if ip.Is4() {
		return unix.AF_INET, &unix.SockaddrInet4{Port: port, Addr: ip.As4()}
	}
	zone, _ := strconv.ParseUint(ip.Zone(), 10, 32) // "" is 0: none
	return unix.AF_INET6, &unix.SockaddrInet6{Port: port, Addr: ip.As16(), ZoneId: uint32(zone)}
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

// settle is how long more is waited for of an answer that is not the canary's: who keeps a connection open after it has answered
// would take the whole budget.
const settle = 100 * time.Millisecond

func (s *stream) read() ([]byte, error) {
	buf := make([]byte, 0, echo.MaxReply)
	for len(buf) < cap(buf) {
		n, err := unix.Read(s.fd, buf[len(buf):cap(buf)])
		if err != nil {
			if err := s.again(err, unix.POLLIN); err != nil {
				if errors.Is(err, errBudget) && len(buf) > 0 {
					err = nil // the answer has settled
				}
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
		if soon := time.Now().Add(settle); soon.Before(s.deadline) {
			s.deadline = soon
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
