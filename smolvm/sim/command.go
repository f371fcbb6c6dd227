//go:build linux

package sim

import (
	"net"
	"os"
	"path/filepath"
	"slices"
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
	req = a.bundled(req)
	p, pid, done, err := a.begin(req)
	if err != nil {
		_ = send(conn, notStarted(req, err))
		return
	}
	if req.Detach {
		_ = send(conn, reply{PID: pid})
		return
	}
	err = send(conn, reply{Started: true}, p.host...)
	if req.Survives {
		defer p.closeHost() // its readers may give up before it does
	} else {
		p.closeHost()
	}
	if err != nil {
		_ = syscall.Kill(-pid, syscall.SIGKILL)
		return
	}
	last := await(conn, pid, done, req)
	if req.Alone {
		_ = syscall.Kill(-pid, syscall.SIGKILL)
	}
	_ = send(conn, last)
}

// begin starts the command on streams of the kind it asks for.
func (a *agent) begin(req request) (*pipes, int, <-chan syscall.WaitStatus, error) {
	p, err := openStreams(req)
	if err != nil {
		return nil, 0, nil, err
	}
	pid, done, err := a.spawn(req, p)
	p.closeGuest()
	if err != nil {
		p.closeHost()
	}
	return p, pid, done, err
}

// await returns how the command ended. A client that hangs up kills it, and so does its timeout.
func await(conn *net.UnixConn, pid int, done <-chan syscall.WaitStatus, req request) reply {
	hangup := make(chan struct{})
	go func() {
		_, _ = conn.Read(make([]byte, 1)) // a client says nothing after its request
		close(hangup)
	}()
	var expired <-chan time.Time
	if req.Timeout > 0 {
		timer := time.NewTimer(req.Timeout)
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
			if req.Survives {
				continue
			}
			_ = syscall.Kill(-pid, syscall.SIGKILL)
		}
	}
}

// spawn starts the command in a session of its own, so that it can be killed with what it started.
func (a *agent) spawn(req request, p *pipes) (int, <-chan syscall.WaitStatus, error) {
	who, err := identify(req.User)
	if err != nil {
		return 0, nil, err
	}
	env := merged(slices.Concat(a.config.Leaked, baseEnvironment, []string{"HOME=" + who.home}, req.Env))
	dir := workingDirectory(req)
	path, err := lookPath(req.Argv[0], dir, env)
	if err != nil {
		return 0, nil, err
	}
	who.take(p.guest[:])
	return a.reaper.start(path, req.Argv, &syscall.ProcAttr{
		Dir: dir, Env: env,
		Files: []uintptr{uintptr(p.guest[0]), uintptr(p.guest[1]), uintptr(p.guest[2])},
		Sys:   &syscall.SysProcAttr{Setsid: true, Setctty: req.TTY != nil, Credential: who.credential},
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
