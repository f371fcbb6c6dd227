package probes

import (
	"context"
	"net"
	"net/netip"
	"testing"

	"bottle.internal/internal/echo"
	"bottle.internal/probes/agent"
)

// freePort is a port of 127.0.0.1 where nothing listens.
func freePort(t *testing.T) netip.AddrPort {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return netip.MustParseAddrPort(l.Addr().String())
}

// public is nobody's, and no address of this host's.
var public = netip.MustParseAddrPort("203.0.113.9:443")

// dials are ad-hoc probes, and what they come to.
var dials = []struct {
	name    string
	backend string
	edit    func(t *testing.T, s *Site) Target
	expect  Expect
	want    Verdict
	addrs   int // distinct addresses dialled
}{
	{"host's loopback, free port", TSI, func(t *testing.T, _ *Site) Target { return Target{Addr: freePort(t)} }, Contain, Contained, 1},
	{"host's loopback in both spellings", VirtioNet, func(t *testing.T, _ *Site) Target { return Target{Addr: freePort(t)} }, Contain, Contained, 2},
	{"host's loopback by its other spelling", VirtioNet, func(t *testing.T, _ *Site) Target {
		return Target{Addr: netip.AddrPortFrom(gateway.Addr(), freePort(t).Port())}
	}, Contain, Contained, 2},
	{"host's loopback, leaking", TSI, func(t *testing.T, s *Site) Target {
		s.Run = guest(open).run(nil)
		return Target{Addr: freePort(t)}
	}, Contain, Leak, 1},
	{"another of the host's loopbacks, leaking", TSI, func(t *testing.T, s *Site) Target {
		c, err := NewCanary("x", netip.MustParseAddrPort("127.0.0.2:0"), nil)
		if err != nil {
			t.Skip(err)
		}
		_ = c.Close()
		s.Run = guest(open).run(nil)
		return Target{Addr: c.Addr()}
	}, Contain, Leak, 2},
	{"somebody listens there, tsi", TSI, func(t *testing.T, _ *Site) Target {
		return Target{Addr: newCanary(t, "somebody", anyLoopback).Addr()}
	}, Contain, Contained, 1},
	{"somebody listens there, virtio-net", VirtioNet, func(t *testing.T, _ *Site) Target {
		return Target{Addr: newCanary(t, "somebody", anyLoopback).Addr()}
	}, Contain, Inconclusive, 2},
	{"the world stands in", VirtioNet, func(*testing.T, *Site) Target { return Target{Addr: public} }, Contain, Contained, 1},
	{"the world sees it", TSI, func(_ *testing.T, s *Site) Target {
		s.Run = walled(*s, func(a agent.Attempt) agent.Result { return throughWorld(*s, a) }).run(nil)
		return Target{Addr: public}
	}, Contain, Leak, 1},
	{"nothing stands in, tsi", TSI, func(_ *testing.T, s *Site) Target { s.World = nil; return Target{Addr: public} }, Contain, Contained, 1},
	{"nothing stands in, virtio-net", VirtioNet, func(_ *testing.T, s *Site) Target { s.World = nil; return Target{Addr: public} }, Contain, Inconclusive, 1},
	{"another port of the allowed address", TSI, func(t *testing.T, s *Site) Target {
		c := newCanary(t, "other", anyLoopback)
		s.Run = walled(*s, refuse).run(nil)
		return c.Target()
	}, Contain, Contained, 1},
	{"reached", TSI, func(t *testing.T, s *Site) Target {
		s.Run = guest(open).run(nil)
		return newCanary(t, "other", anyLoopback).Target()
	}, Reach, Contained, 1},
	{"reached, by its secret only", TSI, func(t *testing.T, s *Site) Target {
		s.Run = guest(open).run(nil)
		c := newCanary(t, "other", anyLoopback)
		return Target{Addr: c.Addr(), Secret: c.Secret()}
	}, Reach, Contained, 1},
	{"not reached, and alive", TSI, func(t *testing.T, _ *Site) Target { return newCanary(t, "other", anyLoopback).Target() }, Reach, Overblocked, 1},
	{"not reached, and dead", TSI, func(t *testing.T, _ *Site) Target {
		c := newCanary(t, "other", anyLoopback)
		_ = c.Close()
		return c.Target()
	}, Reach, Inconclusive, 1},
	{"something without a secret answers", TSI, func(t *testing.T, s *Site) Target {
		s.Run = guest(open).run(nil)
		c := newCanary(t, "other", anyLoopback)
		return Target{Addr: c.Addr(), Alive: c.Alive}
	}, Reach, Inconclusive, 1},
}

func TestDial(t *testing.T) {
	for _, c := range dials {
		t.Run(c.name, func(t *testing.T) {
			s := site(t, c.backend)
			target := c.edit(t, &s)
			rep, err := Dial(t.Context(), s, quick, target, c.expect)
			if err != nil {
				t.Fatal(err)
			}
			f := finding(t, rep, DialID)
			if f.Verdict != c.want || f.Expect != c.expect {
				t.Errorf("want %s, got %s", c.want, f)
			}
			addrs := make(map[netip.AddrPort]bool)
			for _, a := range f.Attempts {
				addrs[a.Address] = true
			}
			if len(addrs) != c.addrs || !addrs[target.Addr] {
				t.Errorf("dialled %v, want %d addresses and %s among them", addrs, c.addrs, target.Addr)
			}
		})
	}
}

func TestDialRefuses(t *testing.T) {
	for _, addr := range []netip.AddrPort{{}, anyLoopback} {
		if _, err := Dial(t.Context(), Site{}, quick, Target{Addr: addr}, Contain); err == nil {
			t.Errorf("%s is dialled", addr)
		}
	}
	if _, err := Dial(t.Context(), site(t, TSI), quick, Target{Addr: loopback}, "hope"); err == nil {
		t.Error("an unknown expectation is taken")
	}
}

// A host's own address that is not its loopback gets a canary too.
func TestDialHostAddress(t *testing.T) {
	all, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range all {
		p, err := netip.ParsePrefix(a.String())
		if err != nil || p.Addr().IsLoopback() || p.Addr().IsLinkLocalUnicast() || !p.Addr().Is4() {
			continue
		}
		for _, udp := range []bool{false, true} {
			s := site(t, TSI)
			s.Run = guest(open).run(nil)
			rep, err := Dial(t.Context(), s, quick, Target{Addr: netip.AddrPortFrom(p.Addr(), freePort(t).Port()), UDP: udp}, Contain)
			if err != nil {
				t.Fatal(err)
			}
			if f := finding(t, rep, DialID); f.Verdict != Leak || f.Attempts[0].Network == agent.UDP4 != udp {
				t.Errorf("%s, datagrams %t: %s", p, udp, f)
			}
		}
		return
	}
	t.Skip("this host has no IPv4 address but its loopback")
}

// What a target says of itself is used, and nothing is brought up in its place.
func TestDialTakesATargetAsItIs(t *testing.T) {
	s, asked := site(t, TSI), 0
	target := Target{
		Addr: freePort(t), Secret: echo.NewSecret(), Alive: func(context.Context) error { asked++; return nil },
		Sightings: func(context.Context) ([]echo.Sighting, error) { return make([]echo.Sighting, asked), nil },
	}
	rep, err := Dial(t.Context(), s, quick, target, Contain)
	if err != nil {
		t.Fatal(err)
	}
	if f := finding(t, rep, DialID); asked != 2 || f.Verdict != Contained || f.Attempts[0].Target != target.Addr.String() {
		t.Errorf("asked %d times: %s", asked, f)
	}
}
