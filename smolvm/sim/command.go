//go:build linux

package sim

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// exec runs one command of the command line's in the guest.
func (a *agent) exec(conn *net.UnixConn, req request) {
	if a.doomed.CompareAndSwap(true, false) {
		_ = send(conn, reply{Exit: 128 + int(syscall.SIGKILL)})
		return
	}
	p, err := openPipes(req.Stdin)
	if err != nil {
		_ = send(conn, reply{Error: "failed to spawn command: " + rustText(err)})
		return
	}
	pid, done, err := a.spawn(req, p)
	p.closeGuest()
	if err != nil {
		p.closeHost()
		_ = send(conn, reply{Error: "failed to spawn command: " + rustText(err)})
		return
	}
	err = send(conn, reply{Started: true}, p.host...)
	p.closeHost()
	if err != nil {
		_ = syscall.Kill(-pid, syscall.SIGKILL)
		return
	}
	_ = send(conn, await(conn, pid, done, req.Timeout))
}

// await returns how the command ended. A client that hangs up kills it, and so does its timeout.
func await(conn *net.UnixConn, pid int, done <-chan syscall.WaitStatus, timeout time.Duration) reply {
	hangup := make(chan struct{})
	go func() {
		_, _ = conn.Read(make([]byte, 1)) // a client says nothing after its request
		close(hangup)
	}()
	var expired <-chan time.Time
	if timeout > 0 {
		timer := time.NewTimer(timeout)
		defer timer.Stop()
		expired = timer.C
	}
	late := false
	for {
		select {
		case status := <-done:
			if late {
				return reply{TimedOut: true}
			}
			if status.Signaled() {
				return reply{Signal: int(status.Signal())}
			}
			return reply{Exit: status.ExitStatus()}
		case <-expired:
			late = true
			_ = syscall.Kill(-pid, syscall.SIGKILL)
		case <-hangup:
			hangup = nil
			_ = syscall.Kill(-pid, syscall.SIGKILL)
		}
	}
}

// spawn starts the command in a session of its own, so that it can be killed with what it started.
func (a *agent) spawn(req request, p *pipes) (int, <-chan syscall.WaitStatus, error) {
	env := merged(append(append([]string{}, baseEnvironment...), req.Env...))
	dir := req.Dir
	if dir == "" {
		dir = "/"
	}
	path, err := lookPath(req.Argv[0], dir, env)
	if err != nil {
		return 0, nil, err
	}
	return a.reaper.start(path, req.Argv, &syscall.ProcAttr{
		Dir: dir, Env: env,
		Files: []uintptr{uintptr(p.guest[0]), uintptr(p.guest[1]), uintptr(p.guest[2])},
		Sys:   &syscall.SysProcAttr{Setsid: true},
	})
}

// lookPath is execvp's search in the command's own PATH. A directory that cannot be entered is ENOENT, as it is to smolvm's agent.
func lookPath(name, dir string, env []string) (string, error) {
	if _, err := os.Stat(dir); err != nil {
		return "", err
	}
	if name == "" {
		return "", syscall.ENOENT
	}
	if strings.Contains(name, "/") {
		return name, nil
	}
	var denied error
	for _, kv := range env {
		list, ok := strings.CutPrefix(kv, "PATH=")
		if !ok {
			continue
		}
		for _, d := range filepath.SplitList(list) {
			path := filepath.Join(d, name)
			if !filepath.IsAbs(path) {
				path = filepath.Join(dir, path)
			}
			info, err := os.Stat(path)
			if err != nil || info.IsDir() {
				continue
			}
			if unix.Access(path, unix.X_OK) == nil {
				return path, nil
			}
			denied = syscall.EACCES
		}
	}
	if denied != nil {
		return "", denied
	}
	return "", syscall.ENOENT
}

// pipes are a command's streams. They are made in the guest, so that it may open /dev/stdout again.
type pipes struct {
	guest [3]int
	host  []*os.File
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
	for _, fd := range p.guest {
		if fd >= 0 {
			_ = unix.Close(fd)
		}
	}
}

func (p *pipes) closeHost() { closeAll(p.host) }
