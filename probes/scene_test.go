package probes

import (
	"context"
	"errors"
	"fmt"
	"net"
	"testing"

	"bottle.internal/probes/agent"
)

// restartable is a sound site that can be restarted; the guest is next from then on.
func restartable(t *testing.T, next func(Site) guest) Site {
	t.Helper()
	s := lasting(site(t, TSI))
	sound, later := s.Run, next(s).run(nil)
	restarted := false
	s.Restart = func(context.Context) error { restarted = true; return nil }
	s.Run = func(ctx context.Context, b []byte) ([]byte, error) {
		if restarted {
			return later(ctx, b)
		}
		return sound(ctx, b)
	}
	return s
}

func TestRestart(t *testing.T) {
	const life, window = "life.restart", "net.tcp.boot-window"
	holds := func(s Site) guest { return walled(s, deny) }
	for name, c := range map[string]struct {
		next         func(Site) guest
		life, window Verdict
	}{
		"the walls are as before": {holds, Contained, Contained},
		"the policy is lost":      {func(Site) guest { return open }, Leak, Leak},
		"there is no network any more": {func(Site) guest {
			return func(agent.Attempt) agent.Result { return agent.Result{Stage: agent.StageConnect, Errno: "ENETUNREACH"} }
		}, Overblocked, Inconclusive},
	} {
		t.Run(name, func(t *testing.T) {
			s := restartable(t, c.next)
			rep, err := Run(t.Context(), s, quick, life, window)
			if err != nil {
				t.Fatal(err)
			}
			if f := finding(t, rep, life); f.Verdict != c.life {
				t.Errorf("want %s: %s", c.life, f)
			}
			if f := finding(t, rep, window); f.Verdict != c.window {
				t.Errorf("want %s: %s", c.window, f)
			}
		})
	}
}

// The leaks that were seen for comparison are told, whatever becomes of that.
func TestLeaksOfAComparison(t *testing.T) {
	s := restartable(t, func(Site) guest { return open })
	s.Run = guest(open).run(nil)
	s.Restart = func(context.Context) error { return errors.New("no such machine") }
	rep, err := Run(t.Context(), s, quick, "life.restart")
	if err != nil {
		t.Fatal(err)
	}
	if f := finding(t, rep, "life.restart"); f.Verdict != Error {
		t.Errorf("%s", f)
	}
	if f, err := rep.Finding("net.tcp.loopback.v4"); err != nil || f.Verdict != Leak || rep.ExitCode() != 1 {
		t.Errorf("%s, %v; exit code %d", f, err, rep.ExitCode())
	}
}

// A sandbox that does not come up again is no sandbox whose walls were seen.
func TestRestartFails(t *testing.T) {
	s := restartable(t, func(s Site) guest { return walled(s, deny) })
	s.Restart = func(context.Context) error { return errors.New("no such machine") }
	rep, err := Run(t.Context(), s, quick, "life.restart", "net.tcp.boot-window")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range rep.Findings {
		if f.Verdict != Error {
			t.Errorf("%s", f)
		}
	}
}

// Scenes are played where the run may play them, or where they are asked for; everywhere else the report says why they are not.
func TestScenesHaveToBeAskedFor(t *testing.T) {
	s := restartable(t, func(s Site) guest { return walled(s, deny) })
	for _, c := range []struct {
		name     string
		edit     func(*Site, *Options)
		patterns []string
		want     Verdict
	}{
		{"by a pattern", func(*Site, *Options) {}, []string{"net.tcp.boot-*", loopbackID}, NotApplicable},
		{"by its id", func(*Site, *Options) {}, []string{"net.tcp.boot-window"}, Contained},
		{"by a pattern, and the run may", func(_ *Site, o *Options) { o.Scenes = true }, []string{"net.tcp.boot-*"}, Contained},
		{"no way to", func(s *Site, _ *Options) { s.Restart = nil }, []string{"net.tcp.boot-window", loopbackID}, NotApplicable},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, o := s, quick
			c.edit(&s, &o)
			rep, err := Run(t.Context(), s, o, c.patterns...)
			if err != nil {
				t.Fatal(err)
			}
			if f := finding(t, rep, "net.tcp.boot-window"); f.Verdict != c.want || f.Reason == "" {
				t.Errorf("want %s: %s", c.want, f)
			}
		})
	}
	s.Restart = nil
	if _, err := Run(t.Context(), s, quick, "net.tcp.boot-window"); !errors.Is(err, ErrNothingRan) {
		t.Errorf("nothing ran: %v", err)
	}
}

func TestSibling(t *testing.T) {
	for name, c := range map[string]struct {
		wall guest
		err  error
		want Verdict
	}{
		"out of reach":    {deny, nil, Contained},
		"in reach":        {open, nil, Leak},
		"cannot be there": {deny, errors.New("no room"), Error},
	} {
		t.Run(name, func(t *testing.T) {
			s := site(t, TSI)
			s.Run = walled(s, c.wall).run(nil)
			sibling := newCanary(t, "sibling", anyLoopback)
			ended := false
			s.Sibling = func(context.Context) (Target, func(context.Context) error, error) {
				return sibling.Target(), func(context.Context) error { ended = true; return nil }, c.err
			}
			rep, err := Run(t.Context(), s, quick, siblingID)
			if err != nil {
				t.Fatal(err)
			}
			if f := finding(t, rep, siblingID); f.Verdict != c.want {
				t.Errorf("want %s: %s", c.want, f)
			}
			if ended != (c.err == nil) {
				t.Errorf("taken away: %t", ended)
			}
		})
	}
}

func TestEmptyAllowlist(t *testing.T) {
	for name, c := range map[string]struct {
		inside guest
		err    error
		edit   func(*Site)
		want   Verdict
	}{
		"nothing gets out":         {deny, nil, func(*Site) {}, Contained},
		"everything does":          {open, nil, func(*Site) {}, Leak},
		"the launch is refused":    {deny, fmt.Errorf("%w: no list", ErrRefused), func(*Site) {}, NotApplicable},
		"the launch fails":         {deny, errors.New("no room"), func(*Site) {}, Error},
		"nothing reaches anything": {deny, nil, func(s *Site) { s.Run = guest(deny).run(nil) }, Inconclusive},
		"nobody can be put beside": {deny, nil, func(s *Site) { s.Peer = nil }, NotApplicable},
	} {
		t.Run(name, func(t *testing.T) {
			s := site(t, TSI)
			closed := false
			s.Peer = func(_ context.Context, spec PeerSpec) (*Peer, error) {
				if spec != (PeerSpec{}) {
					t.Errorf("asked for %+v", spec)
				}
				return &Peer{Name: "the peer", Run: c.inside.run(nil), Close: func(context.Context) error { closed = true; return nil }}, c.err
			}
			c.edit(&s)
			rep, err := Run(t.Context(), s, quick, emptyAllowlist, loopbackID)
			if err != nil {
				t.Fatal(err)
			}
			f := finding(t, rep, emptyAllowlist)
			if f.Verdict != c.want || f.Reason == "" {
				t.Errorf("want %s: %s", c.want, f)
			}
			if closed != (c.err == nil && s.Peer != nil) {
				t.Errorf("the peer is gone: %t", closed)
			}
		})
	}
}

// A canary whose place somebody else takes meanwhile voids one try, and the next has another.
func TestRestartAsksAgain(t *testing.T) {
	s := restartable(t, func(s Site) guest { return walled(s, deny) })
	restart, listens := s.Restart, 0
	o := quick
	o.Listen = func(network, address string) (net.Listener, error) {
		l, err := net.Listen(network, address)
		if listens++; err == nil && listens == 2 {
			err = l.Close() // the second of the loopback's: that of the first repetition
		}
		return l, err
	}
	s.Restart = func(ctx context.Context) error { return restart(ctx) }
	q := &stage{site: s, opts: o.withDefaults()}
	p, err := Lookup(loopbackID)
	if err != nil {
		t.Fatal(err)
	}
	q.report, _, err = runBatch(t.Context(), s, q.opts, []Probe{p}, nil)
	if err != nil {
		t.Fatal(err)
	}
	r := newRig(s, q.opts)
	defer func() { _ = r.close() }()
	before := q.report.Findings
	if f := q.repeat(t.Context(), r, Probe{ID: "life.restart"}, before, r.again(before)); f.Verdict != Contained || listens != 3 {
		t.Errorf("%d listeners: %s", listens, f)
	}
}
