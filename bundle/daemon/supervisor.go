package daemon

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"bottle.internal/bundle/internal/wire"
	"bottle.internal/internal/echo"
)

const (
	// stopGrace and killGrace together stay below the 2 s in which PID 1 has to be gone after SIGTERM.
	stopGrace = 1200 * time.Millisecond
	killGrace = 300 * time.Millisecond
	// readyWithin bounds the wait for every daemon's first echo.
	readyWithin = 10 * time.Second
	readyPoll   = time.Millisecond
)

// errAllEnded is why a supervisor gives up without having been told to.
var errAllEnded = errors.New("every daemon has ended")

// A Child is one daemon to supervise.
type Child struct {
	Name string         // prefixes its log lines
	Argv []string       // program, by its path, and arguments
	Env  []string       // its whole environment, nothing is added; nil = empty
	Echo netip.AddrPort // where it answers its own echo once it is up
	// Beside says that nobody selected it: the supervisor comes up with it like with the others, but does not name it among them,
	// nor go on for its sake.
	Beside bool
}

// A Supervisor is what PID 1 does: start the daemons, keep the others when one dies, reap whatever ends. It waits for every
// child of the process, so there is one per process and nothing beside it may start children.
type Supervisor struct {
	Daemons []Child     // empty = idle
	Log     io.Writer   // where its own lines and the daemons' go
	Secret  echo.Secret // verifies the daemons' echoes; zero = their names have to do
}

// Run supervises until ctx ends, then stops the daemons within 2 s and returns nil. It returns early, with an error, only
// when there were daemons that are not Beside and every one of them has ended by itself. Call it once.
func (s *Supervisor) Run(ctx context.Context) error {
	con := &console{w: s.Log}
	r := newReaper()
	reaping, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	go r.run(reaping)
	if len(s.Daemons) == 0 {
		con.line(wire.LineNone)
		<-ctx.Done()
		return nil
	}
	var copies sync.WaitGroup
	started, failed := s.start(r, con, &copies)
	defer drain(&copies)
	announced := make(chan struct{})
	go func() {
		defer close(announced)
		if failed != nil {
			con.line(wire.LineNotReady + failed.Error())
			return
		}
		s.announce(ctx, con, started)
	}()
	err := s.watch(ctx, con, started)
	if err != nil {
		<-announced // whoever waits for the line gets it, however soon all have ended
	}
	terminate(con, started)
	return err
}

// start starts all daemons; one that cannot be started does not keep the others from it.
func (s *Supervisor) start(r *reaper, con *console, copies *sync.WaitGroup) (started []*process, failed error) {
	for _, c := range s.Daemons {
		out, in, err := os.Pipe()
		if err != nil {
			return started, errors.Join(failed, fmt.Errorf("starting %q: %w", c.Name, err))
		}
		p, err := r.start(c, in)
		if err != nil {
			_ = out.Close()
			failed = errors.Join(failed, err)
			con.printf("[%s] %v", c.Name, err)
			continue
		}
		started = append(started, p)
		copies.Go(func() {
			defer out.Close()
			con.copy(c.Name, out)
		})
	}
	return started, failed
}

// announce logs the one line that says whether all daemons answered.
func (s *Supervisor) announce(ctx context.Context, con *console, started []*process) {
	ctx, cancel := context.WithTimeout(ctx, readyWithin)
	defer cancel()
	var names []string
	for i, c := range s.Daemons {
		if err := s.answers(ctx, c, started[i]); err != nil {
			if !errors.Is(err, context.Canceled) {
				con.line(wire.LineNotReady + err.Error())
			}
			return
		}
		if !c.Beside {
			names = append(names, c.Name)
		}
	}
	if len(names) == 0 {
		con.line(wire.LineNone)
		return
	}
	con.line(wire.LineReady + strings.Join(names, ","))
}

// answers waits for c's own echo on its own port.
func (s *Supervisor) answers(ctx context.Context, c Child, p *process) error {
	tick := time.NewTicker(readyPoll)
	defer tick.Stop()
	for {
		n := echo.NewNonce()
		reply, err := echo.Ask(ctx, wire.FromInside(c.Echo), n)
		switch {
		case err == nil && reply.Name == c.Name && (s.Secret == (echo.Secret{}) || s.Secret.Verify(n, reply)):
			return nil
		case err == nil:
			err = fmt.Errorf("%w: %q answered", echo.ErrForeign, reply.Name)
		}
		select {
		case <-p.done:
			return fmt.Errorf("%s %s", c.Name, p.how())
		case <-ctx.Done():
			return fmt.Errorf("waiting for %s to answer on %s: %w (last: %w)", c.Name, c.Echo, context.Cause(ctx), err)
		case <-tick.C:
		}
	}
}

// idle reports whether nobody selected a daemon.
func (s *Supervisor) idle() bool {
	return !slices.ContainsFunc(s.Daemons, func(c Child) bool { return !c.Beside })
}

// watch logs every end until ctx is over or no daemon is left.
func (s *Supervisor) watch(ctx context.Context, con *console, started []*process) error {
	ends := make(chan *process)
	watching, stop := context.WithCancel(ctx)
	defer stop()
	for _, p := range started {
		go func() {
			select {
			case <-p.done:
			case <-watching.Done():
				return
			}
			select {
			case ends <- p:
			case <-watching.Done():
			}
		}()
	}
	selected := 0
	for _, p := range started {
		if !p.beside {
			selected++
		}
	}
	for left := selected; left > 0 || s.idle(); {
		select {
		case <-ctx.Done():
			return nil
		case p := <-ends:
			if !p.beside {
				left--
			}
			con.printf("[%s] %s; %d of %d left", p.name, p.how(), left, selected)
		}
	}
	return errAllEnded
}

// terminate ends what still runs: asked first, killed after the grace.
func terminate(con *console, started []*process) {
	for _, p := range started {
		p.signal(syscall.SIGTERM)
	}
	if waitAll(started, stopGrace) {
		return
	}
	for _, p := range started {
		if !p.ended() {
			con.printf("[%s] did not end within %s of SIGTERM: killing it", p.name, stopGrace)
			p.signal(syscall.SIGKILL)
		}
	}
	waitAll(started, killGrace)
}

// drain waits a moment for what the daemons last said; a grandchild that keeps the pipe open must not keep PID 1.
func drain(copies *sync.WaitGroup) {
	done := make(chan struct{})
	go func() { copies.Wait(); close(done) }()
	select {
	case <-done:
	case <-time.After(killGrace):
	}
}
