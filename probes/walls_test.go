package probes

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"testing"

	"bottle.internal/internal/echo"
	"bottle.internal/probes/agent"
)

// On virtio-net a handshake comes from the gateway whatever the policy, but not from the guest's own loopback.
func TestRunHandshakeOnly(t *testing.T) {
	for spelling, want := range map[netip.Addr]Verdict{gateway.Addr(): Contained, loopback.Addr(): Inconclusive} {
		s := site(t, VirtioNet)
		s.Run = walled(s, func(a agent.Attempt) agent.Result {
			if a.Addr.Addr() == spelling {
				return agent.Result{Stage: agent.StageRead}
			}
			return refuse(a)
		}).run(nil)
		rep, err := Run(t.Context(), s, quick, loopbackID)
		if err != nil {
			t.Fatal(err)
		}
		if f := finding(t, rep, loopbackID); f.Verdict != want {
			t.Errorf("%s: want %s, got %s", spelling, want, f)
		}
	}
}

// A leak to an address that nobody has is seen where the world stands in for it.
func TestRunWorld(t *testing.T) {
	s := site(t, TSI)
	s.Run = walled(s, func(a agent.Attempt) agent.Result { return throughWorld(s, a) }).run(nil)
	rep, err := Run(t.Context(), s, quick, testnetID)
	if err != nil {
		t.Fatal(err)
	}
	if f := finding(t, rep, testnetID); f.Verdict != Leak || f.Attempts[0].Sightings[0].Local != testNet.String() {
		t.Errorf("%s", f)
	}
}

// What was sent to a canary of the host's and ended up in the world has left all the same.
func TestRunWorldInTheCanarysPlace(t *testing.T) {
	s := site(t, TSI)
	s.Run = walled(s, func(a agent.Attempt) agent.Result { return throughWorld(s, a) }).run(nil)
	rep, err := Run(t.Context(), s, quick, loopbackID, testnetID)
	if err != nil {
		t.Fatal(err)
	}
	if f := finding(t, rep, loopbackID); f.Verdict != Leak || f.Attempts[0].Sightings[0].Name != worldName {
		t.Errorf("%s", f)
	}
}

// An agent that does not know a look has not looked; a kernel that does not know a call has answered.
func TestAcceptNoLookThatWasNotMade(t *testing.T) {
	for method, want := range map[agent.Method]bool{agent.Search: false, agent.Sockets: false, agent.FollowLink: false, agent.SysCall: true} {
		a := Attempt{Network: agent.Look, Method: method, Observation: Unsupported, Errno: "ENOSYS"}
		if _, ok := accept(VirtioNet, kernelWall, a); ok != want {
			t.Errorf("%s: accepted %t, want %t", method, ok, want)
		}
	}
}

func TestRunTestNetWithoutWorld(t *testing.T) {
	for _, c := range []struct {
		backend   string
		simulated bool
		wall      guest
		want      Verdict
	}{
		{TSI, false, deny, Contained},
		{TSI, true, deny, Contained},
		{TSI, false, refuse, Inconclusive},
		{VirtioNet, false, refuse, Contained},
		{VirtioNet, true, refuse, Inconclusive},
		{VirtioNet, false, func(agent.Attempt) agent.Result { return agent.Result{Stage: agent.StageRead} }, Inconclusive},
		{"", false, refuse, NotApplicable},
	} {
		s := site(t, c.backend)
		s.World, s.Simulated, s.Run = nil, c.simulated, walled(s, c.wall).run(nil)
		rep, err := Run(t.Context(), s, quick, testnetID)
		if (c.want == NotApplicable) != errors.Is(err, ErrNothingRan) {
			t.Error(err)
		}
		if f := finding(t, rep, testnetID); f.Verdict != c.want {
			t.Errorf("%q, simulated %t: want %s, got %s", c.backend, c.simulated, c.want, f)
		}
	}
}

// A port that cannot be had is judged by what only the policy gives, where the backend gives such a thing.
func TestRunLoopbackPortTaken(t *testing.T) {
	taken := newCanary(t, "somebody", anyLoopback)
	for backend, want := range map[string]Verdict{TSI: Contained, VirtioNet: Inconclusive} {
		o := quick
		o.LoopbackPorts = []uint16{taken.Addr().Port()}
		rep, err := Run(t.Context(), site(t, backend), o, loopbackID)
		if err != nil {
			t.Fatal(err)
		}
		f := finding(t, rep, loopbackID)
		if f.Verdict != want || f.Assurance != L0 {
			t.Errorf("%s: want %s at L0, got %s", backend, want, f)
		}
	}
}

func TestRunLoopbackPort(t *testing.T) {
	free := newCanary(t, "for its port", anyLoopback)
	port := free.Addr().Port()
	_ = free.Close()
	o := quick
	o.LoopbackPorts, o.Attempts = []uint16{port}, 3
	rep, err := Run(t.Context(), site(t, TSI), o, loopbackID)
	if err != nil {
		t.Fatal(err)
	}
	f := finding(t, rep, loopbackID)
	if f.Verdict != Contained || f.Assurance != L2 || len(f.Attempts) != 6 || f.Attempts[3].Address.Port() != port {
		t.Errorf("%s", f)
	}
}

// A listener's silence counts only if its log is known to work.
func TestRunClosedLog(t *testing.T) {
	for _, c := range []struct {
		name  string
		edit  func(*Target)
		want  Verdict
		names string
	}{
		{"as it is", func(*Target) {}, Contained, ""},
		{"no log", func(g *Target) { g.Sightings = nil }, Inconclusive, "C4"},
		{"a log that stays empty", func(g *Target) {
			g.Sightings = func(context.Context) ([]echo.Sighting, error) { return nil, nil }
		}, Inconclusive, "C4"},
		{"a log that cannot be read", func(g *Target) {
			g.Sightings = func(context.Context) ([]echo.Sighting, error) { return nil, errors.New("gone") }
		}, Inconclusive, "C4"},
		{"a log that lags", func(g *Target) {
			inner, reads := g.Sightings, 0
			g.Sightings = func(ctx context.Context) ([]echo.Sighting, error) {
				if reads++; reads < 5 {
					return nil, nil
				}
				return inner(ctx)
			}
		}, Contained, ""},
		{"not alive", func(g *Target) { g.Alive = func(context.Context) error { return errors.New("dead") } }, Inconclusive, "C1"},
		{"nobody can tell whether it is alive", func(g *Target) { g.Alive = nil }, Inconclusive, "C1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := site(t, TSI)
			c.edit(&s.Closed[0])
			rep, err := Run(t.Context(), s, quick, adminID)
			if err != nil {
				t.Fatal(err)
			}
			f := finding(t, rep, adminID)
			if f.Verdict != c.want || (c.names != "" && !strings.HasPrefix(f.Reason, c.names+":")) {
				t.Errorf("want %s %s, got %s", c.want, c.names, f)
			}
		})
	}
}
