package probes

import (
	"maps"
	"net/netip"
	"strings"
	"testing"

	"bottle.internal/probes/agent"
)

const boundaryID = "policy.boundary.tcp"

// boundarySite is a tsi sandbox that is asked to allow one address, and lets through what is in prefix and what is in the world's.
func boundarySite(t *testing.T, prefix, world string) Site {
	t.Helper()
	s := site(t, TSI)
	s.Allow = []netip.Prefix{netip.PrefixFrom(s.Allowed.Addr.Addr(), 32)}
	s.Again = func(_ agent.Network, at netip.AddrPort) string { return "dial " + at.String() }
	near, far := netip.MustParsePrefix(prefix), netip.MustParsePrefix(world)
	s.Run = walled(s, func(a agent.Attempt) agent.Result {
		switch {
		case near.Contains(a.Addr.Addr()):
			return open(a)
		case far.Contains(a.Addr.Addr()):
			return throughWorld(s, a)
		}
		return deny(a)
	}).run(nil)
	return s
}

// What is let through beside the list is found, and brought down to the simplest case that something of ours can stand behind.
func TestBoundaryFinds(t *testing.T) {
	for _, c := range []struct {
		name, near, far string
		want            Verdict
		simplest        string
	}{
		{"a wall that holds", "127.0.0.1/32", "203.0.113.1/32", Contained, ""},
		{"a /30", "127.0.0.0/30", "203.0.113.1/32", Leak, "127.0.0.3"},
		{"a hole", "127.0.1.1/32", "203.0.113.1/32", Leak, "127.0.1.1"},
		{"a byte that is not compared", "127.0.0.1/32", "126.0.0.0/8", Leak, "126.0.0.1"},
		{"NAT64", "127.0.0.1/32", "64:ff9b::/96", Leak, "64:ff9b::7f00:1"},
	} {
		rep, err := Run(t.Context(), boundarySite(t, c.near, c.far), quick, allowedID, boundaryID)
		if err != nil {
			t.Fatal(err)
		}
		f := finding(t, rep, boundaryID)
		if f.Verdict != c.want || (f.Simplest == "") != (c.simplest == "") || !strings.HasPrefix(f.Simplest+":", strings.TrimSuffix("tcp "+c.simplest, "tcp ")+":") {
			t.Errorf("%s: want %s, simplest %q; got %s", c.name, c.want, c.simplest, f)
		}
		if c.simplest != "" && (!strings.HasPrefix(f.Again, "dial ") || !strings.Contains(f.Again, c.simplest) || !strings.HasSuffix(f.Again, "# "+boundaryID+", seed 1")) {
			t.Errorf("%s: again %q", c.name, f.Again)
		}
		if rep.Seed != defaultSeed {
			t.Errorf("%s: the report has seed %d", c.name, rep.Seed)
		}
	}
}

// The same seed dials the same addresses, and another one does not.
func TestBoundarySeed(t *testing.T) {
	dialled := func(seed uint64) map[netip.Addr]bool {
		o := quick
		o.Seed = seed
		rep, err := Run(t.Context(), boundarySite(t, "127.0.0.1/32", "203.0.113.1/32"), o, boundaryID)
		if err != nil {
			t.Fatal(err)
		}
		all := make(map[netip.Addr]bool)
		for _, a := range finding(t, rep, boundaryID).Attempts {
			all[a.Address.Addr()] = true
		}
		return all
	}
	one, two := dialled(5), dialled(6)
	if again := dialled(5); !maps.Equal(one, again) {
		t.Errorf("the same seed dials %v and %v", one, again)
	}
	missing := 0
	for at := range one {
		if !two[at] {
			missing++
		}
	}
	if missing == 0 || missing > len(one)/2 {
		t.Errorf("%d of %d addresses are another seed's alone", missing, len(one))
	}
}

// A site that does not say what it allows is not found to be sound, and without a world only this host's addresses are dialled.
func TestBoundaryNeedsAList(t *testing.T) {
	s := boundarySite(t, "127.0.0.1/32", "203.0.113.1/32")
	s.Allow = nil
	for pattern, want := range map[string]Verdict{boundaryID: Inconclusive, "policy.*": NotApplicable} {
		rep, err := Run(t.Context(), s, quick, allowedID, pattern)
		if err != nil {
			t.Fatal(err)
		}
		if f := finding(t, rep, boundaryID); f.Verdict != want {
			t.Errorf("%s: %s", pattern, f)
		}
	}
	s = boundarySite(t, "127.0.0.1/32", "203.0.113.1/32")
	s.World = nil
	rep, err := Run(t.Context(), s, quick, boundaryID)
	if err != nil {
		t.Fatal(err)
	}
	f := finding(t, rep, boundaryID)
	if len(f.Warnings) != 1 || !strings.Contains(f.Warnings[0], "were not tried") {
		t.Errorf("what cannot be tried is not said: %s", f)
	}
	for _, a := range f.Attempts {
		if ip := a.Address.Addr().Unmap(); !ip.IsLoopback() && !isHostAddr(ip) {
			t.Errorf("%s is dialled without a world", a.Address)
		}
	}
}
