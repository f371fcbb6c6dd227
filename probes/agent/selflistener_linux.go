package agent

import (
	"errors"
	"net/netip"
	"os"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"bottle.internal/internal/echo"
)

// A selfListener echoes on the guest's own loopback until the time is up.
type selfListener struct {
	stream
	addr netip.AddrPort
	stop atomic.Bool
	done chan struct{}
}

func listenSelf(stop time.Time) (*selfListener, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, unix.IPPROTO_TCP)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	l := &selfListener{stream: stream{fd: fd, open: true, deadline: stop}, done: make(chan struct{})}
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		l.close()
		return nil, os.NewSyscallError("bind 127.0.0.1", err)
	}
	if err := unix.Listen(fd, 16); err != nil {
		l.close()
		return nil, os.NewSyscallError("listen 127.0.0.1", err)
	}
	sa, err := unix.Getsockname(fd)
	if err != nil {
		l.close()
		return nil, os.NewSyscallError("getsockname", err)
	}
	in4, ok := sa.(*unix.SockaddrInet4)
	if !ok {
		l.close()
		return nil, errors.New("getsockname: not an IPv4 address")
	}
	l.addr = netip.AddrPortFrom(netip.AddrFrom4(in4.Addr), uint16(in4.Port))
	return l, nil
}

// serve answers one connection after the other. It proves nothing to anybody but the agent: the secret is the zero one.
func (l *selfListener) serve() {
	defer close(l.done)
	for !l.stop.Load() && time.Now().Before(l.deadline) {
		slice := stream{fd: l.fd, deadline: time.Now().Add(selfPause)}
		if slice.wait(unix.POLLIN) != nil {
			continue
		}
		fd, _, err := unix.Accept4(l.fd, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
		switch {
		case err == nil:
			l.answer(fd)
		case !errors.Is(err, unix.EAGAIN) && !errors.Is(err, unix.EINTR) && !errors.Is(err, unix.ECONNABORTED):
			return
		}
	}
}

// end stops listening before anything is dialled in earnest. The descriptor is closed only when nobody waits on it: its number
// would come round again. Where accept does not come back (libkrunfw#137) it stays open, and the process is short-lived.
func (l *selfListener) end() {
	l.stop.Store(true)
	_ = unix.Shutdown(l.fd, unix.SHUT_RDWR) // wakes a poll on Linux
	select {
	case <-l.done:
		l.close()
	case <-time.After(10 * selfPause):
	}
}

func (l *selfListener) answer(fd int) {
	c := stream{fd: fd, open: true, deadline: l.deadline}
	defer c.close()
	var buf [512]byte
	if c.wait(unix.POLLIN) != nil {
		return
	}
	n, err := unix.Read(fd, buf[:])
	if err != nil {
		return
	}
	if nonce, ok := echo.ParseRequest(buf[:n]); ok {
		_ = c.write(echo.Response(echo.NewReply(echo.Secret{}, "self", nonce, "", l.addr.String())))
	}
}
