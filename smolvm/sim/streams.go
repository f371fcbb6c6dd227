//go:build linux

package sim

import (
	"os"
	"slices"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"
)

// pipes are a command's streams, or the ends of its terminal. They are made in the guest, so that it may open /dev/stdout again.
type pipes struct {
	guest [3]int
	host  []*os.File
}

// openStreams makes what the request asks for.
func openStreams(req request) (*pipes, error) {
	switch {
	case req.Detach:
		return openNull()
	case req.TTY != nil:
		return openTerminal(*req.TTY)
	}
	return openPipes(req.Stdin)
}

// openNull is three times /dev/null: nobody reads what a detached command prints.
func openNull() (*pipes, error) {
	fd, err := unix.Open("/dev/null", unix.O_RDWR|unix.O_CLOEXEC, 0)
	return &pipes{guest: [3]int{fd, fd, fd}}, err
}

// openTerminal makes a terminal: its slave is the guest's streams, its master the host's.
func openTerminal(size window) (*pipes, error) {
	master, slave, err := pty.Open()
	if err != nil {
		return nil, err
	}
	if err := pty.Setsize(master, &pty.Winsize{Rows: size.Rows, Cols: size.Columns}); err != nil {
		_, _ = master.Close(), slave.Close()
		return nil, err
	}
	defer slave.Close()
	fd, err := unix.FcntlInt(slave.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		_ = master.Close()
		return nil, err
	}
	// The open made it non-blocking for Go's sake; a shell reads until it blocks.
	if err := unix.SetNonblock(fd, false); err != nil {
		_, _ = master.Close(), unix.Close(fd)
		return nil, err
	}
	return &pipes{guest: [3]int{fd, fd, fd}, host: []*os.File{master}}, nil
}

// openPipes makes the streams; stdin is /dev/null unless it is forwarded.
func openPipes(stdin bool) (*pipes, error) {
	p := &pipes{guest: [3]int{-1, -1, -1}}
	var err error
	if !stdin {
		p.guest[0], err = unix.Open("/dev/null", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	}
	for i := range p.guest {
		if err != nil {
			break
		}
		if i == 0 && !stdin {
			continue
		}
		err = p.pipe(i)
	}
	if err != nil {
		p.closeGuest()
		p.closeHost()
		return nil, err
	}
	return p, nil
}

func (p *pipes) pipe(i int) error {
	var fds [2]int
	if err := unix.Pipe2(fds[:], unix.O_CLOEXEC); err != nil {
		return err
	}
	mine, theirs := fds[0], fds[1]
	if i == 0 {
		mine, theirs = theirs, mine
	}
	p.guest[i] = theirs
	p.host = append(p.host, os.NewFile(uintptr(mine), "pipe"))
	return nil
}

func (p *pipes) closeGuest() {
	for i, fd := range p.guest {
		if fd >= 0 && !slices.Contains(p.guest[:i], fd) {
			_ = unix.Close(fd)
		}
	}
}

func (p *pipes) closeHost() { closeAll(p.host) }
