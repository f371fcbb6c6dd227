package daemon

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// A reaper waits for every child of this process, its own and the orphans PID 1 inherits. Nothing else in the process may
// wait for a child: os/exec's Wait would race with it.
type reaper struct {
	mu       sync.Mutex // held while a child starts, so that no exit comes before its entry
	children map[int]*process
}

// A process is one started child.
type process struct {
	name   string
	beside bool
	cmd    *exec.Cmd
	done   chan struct{} // closed at its end, after status is set
	// status is how it ended; read it only after done.
	status unix.WaitStatus
}

func newReaper() *reaper { return &reaper{children: map[int]*process{}} }

// run reaps until ctx ends.
func (r *reaper) run(ctx context.Context) {
	sig := make(chan os.Signal, 1)
	signal.Notify(sig, syscall.SIGCHLD)
	defer signal.Stop(sig)
	for {
		r.reap()
		select {
		case <-sig:
		case <-ctx.Done():
			return
		}
	}
}

// reap takes all children that have ended: several ends may make one SIGCHLD.
func (r *reaper) reap() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for {
		var status unix.WaitStatus
		pid, err := unix.Wait4(-1, &status, unix.WNOHANG, nil)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil || pid <= 0 {
			return
		}
		if p := r.children[pid]; p != nil {
			delete(r.children, pid)
			p.status = status
			close(p.done)
		}
	}
}

// start starts c with its output going to out, which it closes in this process.
func (r *reaper) start(c Child, out *os.File) (*process, error) {
	defer out.Close()
	env := append([]string{}, c.Env...) // never nil: that would be ours
	cmd := &exec.Cmd{Path: c.Argv[0], Args: c.Argv, Env: env, Stdout: out, Stderr: out}
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting %q: %w", c.Name, err)
	}
	p := &process{name: c.Name, beside: c.Beside, cmd: cmd, done: make(chan struct{})}
	r.children[cmd.Process.Pid] = p
	return p, nil
}

func (p *process) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// signal is for a process that may have ended: then there is nobody to tell.
func (p *process) signal(s os.Signal) {
	if !p.ended() {
		_ = p.cmd.Process.Signal(s)
	}
}

// how says how p ended, after done.
func (p *process) how() string {
	if p.status.Signaled() {
		return fmt.Sprintf("killed by %s", p.status.Signal())
	}
	return fmt.Sprintf("exited with code %d", p.status.ExitStatus())
}

// waitAll waits until every process has ended or d is over, and reports whether they have.
func waitAll(ps []*process, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	for _, p := range ps {
		select {
		case <-p.done:
		case <-t.C:
			return false
		}
	}
	return true
}
