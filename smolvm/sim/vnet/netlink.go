//go:build linux

package vnet

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"syscall"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// A netlinkConn is a netlink socket of some network namespace, perhaps not
// this process's own: it was opened over there and passed over. The netlink
// package only speaks to namespaces it can enter, so the few messages needed
// are exchanged here. Safe for concurrent use.
type netlinkConn struct {
	mu   sync.Mutex
	file *os.File
	fd   int
	seq  uint32
	buf  []byte
}

// openNetlink opens a netlink socket in the calling thread's namespace.
func openNetlink(protocol int, name string) (*os.File, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, protocol)
	if err != nil {
		return nil, fmt.Errorf("vnet: open %s socket: %w", name, err)
	}
	return os.NewFile(uintptr(fd), name), nil
}

// newNetlinkConn takes a netlink socket over: the connection has a descriptor
// of its own, blocking with a bound, because the kernel answers inside sendto.
func newNetlinkConn(f *os.File) (*netlinkConn, error) {
	fd, err := dupFile(f)
	if err != nil {
		return nil, err
	}
	if err := unix.SetNonblock(fd, false); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("vnet: %s: %w", f.Name(), err)
	}
	bound := unix.Timeval{Sec: 2}
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &bound); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("vnet: %s: %w", f.Name(), err)
	}
	return &netlinkConn{file: os.NewFile(uintptr(fd), f.Name()), fd: fd, buf: make([]byte, 32<<10)}, nil
}

// dupFile returns a close-on-exec duplicate of f's descriptor without changing
// f's mode, which [os.File.Fd] may.
func dupFile(f *os.File) (fd int, err error) {
	raw, err := f.SyscallConn()
	if err != nil {
		return -1, fmt.Errorf("vnet: %s: %w", f.Name(), err)
	}
	cerr := raw.Control(func(old uintptr) {
		fd, err = unix.FcntlInt(old, unix.F_DUPFD_CLOEXEC, 3)
	})
	if err = errors.Join(cerr, err); err != nil {
		return -1, fmt.Errorf("vnet: %s: %w", f.Name(), err)
	}
	return fd, nil
}

func (c *netlinkConn) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.fd = -1
	return c.file.Close()
}

// exchange sends one request and calls visit with the payload of every answer,
// until the acknowledgement or the end of the dump. The payload is not valid
// after visit returns.
func (c *netlinkConn) exchange(req *nl.NetlinkRequest, visit func(payload []byte)) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.fd < 0 {
		return os.ErrClosed
	}
	c.seq++
	req.Seq = c.seq
	if err := ignoringEINTR(func() error {
		return unix.Sendto(c.fd, req.Serialize(), 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK})
	}); err != nil {
		return fmt.Errorf("vnet: send to %s: %w", c.file.Name(), err)
	}
	for {
		done, err := c.receive(visit)
		if done || err != nil {
			return err
		}
	}
}

// receive reads one datagram of answers and reports whether it was the last.
func (c *netlinkConn) receive(visit func(payload []byte)) (done bool, err error) {
	var n int
	err = ignoringEINTR(func() (err error) {
		n, _, err = unix.Recvfrom(c.fd, c.buf, 0)
		return err
	})
	if err != nil {
		return false, fmt.Errorf("vnet: receive from %s: %w", c.file.Name(), err)
	}
	msgs, err := syscall.ParseNetlinkMessage(c.buf[:n])
	if err != nil {
		return false, fmt.Errorf("vnet: receive from %s: %w", c.file.Name(), err)
	}
	for _, m := range msgs {
		if m.Header.Seq != c.seq {
			continue
		}
		switch m.Header.Type {
		case unix.NLMSG_DONE:
			return true, nil
		case unix.NLMSG_ERROR:
			return true, ackError(m.Data)
		default:
			if visit != nil {
				visit(m.Data)
			}
		}
	}
	return false, nil
}

func ackError(data []byte) error {
	if len(data) < 4 {
		return errors.New("vnet: short netlink acknowledgement")
	}
	if code := int32(nl.NativeEndian().Uint32(data)); code != 0 {
		return syscall.Errno(-code)
	}
	return nil
}

func ignoringEINTR(call func() error) error {
	for {
		if err := call(); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}
