package probes

import (
	"context"
	"errors"
	"strings"
	"testing"

	"bottle.internal/probes/agent"
)

// A path is found by proof, and by nothing else that a guest may say.
func TestFindPath(t *testing.T) {
	s := site(t, plain)
	near, far, down := newCanary(t, "near", anyLoopback).Target(), newCanary(t, "far", anyLoopback).Target(), newCanary(t, "down", anyLoopback)
	_ = down.Close()
	s.Run = guest(func(a agent.Attempt) agent.Result {
		if a.Addr == far.Addr {
			return agent.Result{Stage: agent.StageDone, Observation: Reachable, Reply: []byte("200 OK"), ElapsedUS: 9} // a lie
		}
		return open(a)
	}).run(nil)
	found, err := FindPath(t.Context(), s, quick, []Target{far, down.Target(), near})
	if err != nil || len(found) != 1 || found[0].Name != "near" {
		t.Errorf("%v, %v", found, err)
	}
	s.Run = func(context.Context, []byte) ([]byte, error) { return nil, errors.New("no such\x1b sandbox") }
	if _, err := FindPath(t.Context(), s, quick, []Target{near}); err == nil || !strings.Contains(err.Error(), "no such  sandbox") && !strings.Contains(err.Error(), "no such sandbox") {
		t.Errorf("%v", err)
	}
}

// A sandbox without a network is contained if somebody else than the guest sees that it has none. Nobody's word for it is its own.
func TestNoNetwork(t *testing.T) {
	s := site(t, plain)
	s.Allowed, s.Closed = Target{}, nil
	s.Run = guest(deny).run(nil)
	for name, c := range map[string]struct {
		sees func(context.Context) (string, error)
		want Verdict
		text string
	}{
		"seen":     {func(context.Context) (string, error) { return "the host sees lo alone", nil }, Contained, "lo alone"},
		"not seen": {func(context.Context) (string, error) { return "", errors.New("it has eth0") }, Inconclusive, "eth0"},
		"not said": {nil, Inconclusive, "names no allowed destination"},
	} {
		s.NoNetwork = c.sees
		rep, err := Run(t.Context(), s, quick, loopbackID)
		if err != nil {
			t.Fatal(err)
		}
		if f := finding(t, rep, loopbackID); f.Verdict != c.want || !strings.Contains(f.String(), c.text) || (f.Assurance == "L2") != (c.want == Contained) {
			t.Errorf("%s: %s", name, f)
		}
	}
}

// A sandbox without a network may not even have a loopback that is up. Then the prober is shown to run by what it reads, but only there.
func TestNoLoopback(t *testing.T) {
	s := site(t, plain)
	s.Allowed, s.Closed = Target{}, nil
	s.Run = guest(deny).run(func(r *agent.Response) { r.Self.Echo, r.Self.EchoError = false, "unreachable ENETUNREACH" })
	for _, c := range []struct {
		sees func(context.Context) (string, error)
		want Verdict
	}{{func(context.Context) (string, error) { return "the host sees lo alone", nil }, Contained}, {nil, Inconclusive}} {
		s.NoNetwork = c.sees
		rep, err := Run(t.Context(), s, quick, loopbackID)
		if err != nil {
			t.Fatal(err)
		}
		if f := finding(t, rep, loopbackID); f.Verdict != c.want || !strings.Contains(f.String(), "ENETUNREACH") {
			t.Errorf("%s", f)
		}
	}
}
