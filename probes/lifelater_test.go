package probes

import (
	"context"
	"errors"
	"testing"
	"time"

	"bottle.internal/probes/agent"
)

// briefest are options for tests that ask the whole network twice.
var briefest = Options{Budget: 500 * time.Millisecond, Silence: 20 * time.Millisecond, Serving: 50 * time.Millisecond, Grace: time.Millisecond}

// lasting is s without the host's addresses, where others who test on this host take the well-known ports between two looks.
func lasting(s Site) Site {
	for _, a := range hostAddrs() {
		s.Passing = append(s.Passing, a.Addr)
	}
	return s
}

// changing is a sound site whose guest is next once changed says so.
func changing(t *testing.T, next func(Site) guest, changed func() bool) Site {
	t.Helper()
	s := lasting(site(t, TSI))
	sound, later := s.Run, next(s).run(nil)
	s.Run = func(ctx context.Context, b []byte) ([]byte, error) {
		if changed() {
			return later(ctx, b)
		}
		return sound(ctx, b)
	}
	return s
}

func noNetwork(agent.Attempt) agent.Result {
	return agent.Result{Stage: agent.StageConnect, Errno: "ENETUNREACH"}
}

// becomes are what may become of a sandbox, and what has to be said of it.
var becomes = map[string]struct {
	next func(Site) guest
	want Verdict
}{
	"the walls are as before": {func(s Site) guest { return walled(s, deny) }, Contained},
	"the policy is lost":      {func(Site) guest { return open }, Leak},
	"there is no network":     {func(Site) guest { return noNetwork }, Overblocked},
}

func TestLater(t *testing.T) {
	for name, c := range becomes {
		t.Run(name, func(t *testing.T) {
			asked := 0
			s := changing(t, c.next, func() bool { asked++; return asked > 1 })
			o := briefest
			o.Later = 300 * time.Millisecond
			begin := time.Now()
			rep, err := Run(t.Context(), s, o, lifeTime)
			if err != nil {
				t.Fatal(err)
			}
			if f := finding(t, rep, lifeTime); f.Verdict != c.want {
				t.Errorf("want %s: %s", c.want, f)
			}
			if took := time.Since(begin); took < o.Later {
				t.Errorf("it came %s later", took)
			}
		})
	}
}

func TestPaused(t *testing.T) {
	for name, c := range becomes {
		t.Run(name, func(t *testing.T) {
			paused, resumed := false, false
			s := changing(t, c.next, func() bool {
				if paused && !resumed {
					t.Error("it was asked while it was paused")
				}
				return resumed
			})
			s.Pause = func(context.Context) (Halted, error) {
				paused = true
				return Halted{Resume: func(context.Context) error { resumed = true; return nil }}, nil
			}
			rep, err := Run(t.Context(), s, briefest, lifePause)
			if err != nil {
				t.Fatal(err)
			}
			if f := finding(t, rep, lifePause); f.Verdict != c.want {
				t.Errorf("want %s: %s", c.want, f)
			}
		})
	}
	s := site(t, TSI)
	for name, pause := range map[string]func(context.Context) (Halted, error){
		"it cannot be paused": func(context.Context) (Halted, error) { return Halted{}, errors.New("no") },
		"it does not go on": func(context.Context) (Halted, error) {
			return Halted{Resume: func(context.Context) error { return errors.New("no") }}, nil
		},
	} {
		s.Pause = pause
		rep, err := Run(t.Context(), s, briefest, lifePause)
		if err != nil {
			t.Fatal(err)
		}
		if f := finding(t, rep, lifePause); f.Verdict != Error {
			t.Errorf("%s: %s", name, f)
		}
	}
}

func TestCopies(t *testing.T) {
	for _, id := range []string{lifePack, lifeSnapshot} {
		for name, c := range becomes {
			t.Run(id+" "+name, func(t *testing.T) {
				s := lasting(site(t, TSI))
				closed := false
				from := func(context.Context) (*Peer, error) {
					return &Peer{Name: "a copy", Run: c.next(s).run(nil), Close: func(context.Context) error { closed = true; return nil }}, nil
				}
				s.Pack, s.Snapshot = from, from
				rep, err := Run(t.Context(), s, briefest, id)
				if err != nil {
					t.Fatal(err)
				}
				if f := finding(t, rep, id); f.Verdict != c.want {
					t.Errorf("want %s: %s", c.want, f)
				}
				if !closed {
					t.Error("the copy is there still")
				}
			})
		}
	}
	for name, c := range map[string]struct {
		err  error
		want Verdict
	}{"it is refused": {ErrRefused, NotApplicable}, "it fails": {errors.New("no room"), Error}} {
		s := site(t, TSI)
		s.Pack = func(context.Context) (*Peer, error) { return nil, c.err }
		rep, err := Run(t.Context(), s, briefest, lifePack, loopbackID)
		if err != nil {
			t.Fatal(err)
		}
		if f := finding(t, rep, lifePack); f.Verdict != c.want {
			t.Errorf("%s: %s", name, f)
		}
	}
}

// What the engine has not is said in its own words.
func TestLacking(t *testing.T) {
	s := site(t, TSI)
	s.Lacking = map[string]string{lifePause: "it has no such command"}
	rep, err := Run(t.Context(), s, briefest, lifePause, lifePack, loopbackID)
	if err != nil {
		t.Fatal(err)
	}
	if f := finding(t, rep, lifePause); f.Verdict != NotApplicable || f.Reason != s.Lacking[lifePause] {
		t.Errorf("%s", f)
	}
	if f := finding(t, rep, lifePack); f.Verdict != NotApplicable || f.Reason == "" {
		t.Errorf("%s", f)
	}
}
