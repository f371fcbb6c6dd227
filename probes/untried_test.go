package probes

import (
	"net"
	"net/netip"
	"strings"
	"syscall"
	"testing"

	"bottle.internal/probes/agent"
)

// Of many addresses every interface has one that is tried, and the finding names those that are not.
func TestSome(t *testing.T) {
	var all []hostAddr
	for _, c := range []struct{ name, addr string }{{"a", "10.0.0.1"}, {"a", "10.0.0.2"}, {"b", "10.0.1.1"}, {"c", "10.0.2.1"}, {"c", "10.0.2.2"}} {
		ip := netip.MustParseAddr(c.addr)
		all = append(all, hostAddr{ip, netip.PrefixFrom(ip, 24), c.name, false})
	}
	for most, want := range map[int]string{5: "10.0.0.1 10.0.1.1 10.0.2.1 10.0.0.2 10.0.2.2", 4: "10.0.0.1 10.0.1.1 10.0.2.1 10.0.0.2"} {
		tried, besides := some(all, most)
		var have []string
		for _, a := range tried {
			have = append(have, a.String())
		}
		if strings.Join(have, " ") != want || (most == 5) != (besides == "") || most == 4 && !strings.Contains(besides, "10.0.2.2") {
			t.Errorf("%d: %q, and %q", most, have, besides)
		}
	}
}

// What could not be tried beside what was is a warning of the finding, and changes nothing else.
func TestUntriedIsSaid(t *testing.T) {
	q := sound(TSI)
	q.absence = absence{besides: "3 more"}
	if f := judge(*q); f.Verdict != Contained || len(f.Warnings) != 1 || f.Warnings[0] != "3 more" {
		t.Errorf("%s", f)
	}
	one := func() ([]aim, absence) { return []aim{{}}, absence{} }
	none := func() ([]aim, absence) { return nil, absence{why: "no internet", unproven: true} }
	if aims, a := gathered(one, none, one); len(aims) != 2 || a.why != "" || !strings.Contains(a.besides, "no internet") {
		t.Errorf("%d aims, %+v", len(aims), a)
	}
	if _, a := gathered(one); a != (absence{}) {
		t.Errorf("%+v", a)
	}
}

// A canary that could not be brought up is no proof that the address is not there: it is dialled, and the errno has to be the policy's.
func TestNoCanaryIsNoAbsence(t *testing.T) {
	for errno, want := range map[syscall.Errno]Verdict{syscall.EMFILE: Contained, syscall.EADDRNOTAVAIL: NotApplicable} {
		s := site(t, TSI)
		s.Run = walled(s, deny).run(nil)
		o := quick
		o.Listen = func(network, address string) (net.Listener, error) {
			if strings.HasPrefix(address, "127.0.0.2:") || strings.HasPrefix(address, "127.0.0.53:") {
				return nil, &net.OpError{Op: "listen", Err: errno}
			}
			return net.Listen(network, address)
		}
		rep, err := Run(t.Context(), s, o, "net.tcp.loopback-range.v4", allowedID)
		if err != nil {
			t.Fatal(err)
		}
		if f := finding(t, rep, "net.tcp.loopback-range.v4"); f.Verdict != want {
			t.Errorf("%s: want %s: %s", errno, want, f)
		}
	}
}

// Published ports that are no streams are not tried, and that is said.
func TestPublishedDatagrams(t *testing.T) {
	at := netip.MustParseAddrPort("127.0.0.1:5353")
	r := newRig(Site{Declared: Declared{Published: []Published{{Host: at, Guest: 53, Network: "udp"}}}}, quick)
	if aims, a := r.publishedAims(); len(aims) != 0 || !a.unproven || !strings.Contains(a.why, "udp "+at.String()) {
		t.Errorf("%d aims, %+v", len(aims), a)
	}
	r.site.Declared.Published = append(r.site.Declared.Published, Published{Host: at, Guest: 53})
	if aims, a := r.publishedAims(); len(aims) != 1 || a.why != "" || !strings.Contains(a.besides, "udp "+at.String()) {
		t.Errorf("%d aims, %+v", len(aims), a)
	}
}

// A canary at a link-local address knows its zone, and answers there.
func TestCanaryAtALinkLocalAddress(t *testing.T) {
	for _, a := range hostAddrs() {
		if !isLocal6(a) {
			continue
		}
		c, err := NewCanary("link", netip.AddrPortFrom(a.Addr, 0), nil)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if err := c.Target().Alive(t.Context()); err != nil || c.Addr().Addr() != a.Addr {
			t.Errorf("at %s, to be at %s: %v", c.Addr(), a.Addr, err)
		}
		return
	}
	t.Skip("this host has no link-local address")
}

// A twin is dialled once for a flood: what is open gives way to nothing, and the canary is others' too.
func TestTwinIsNotFlooded(t *testing.T) {
	flood := &trialPlan{aim: aim{addr: netip.MustParseAddrPort("192.0.2.1:80"), wall: policyWall, post: &post{}, method: agent.Flood, count: floodDials, budget: floodBudget}}
	exhaust := &trialPlan{aim: aim{addr: flood.aim.addr, wall: policyWall, post: &post{}, method: agent.Exhaust, count: 3}}
	b := newTwinBatch([]*trialPlan{flood, exhaust}, Options{}.withDefaults())
	for _, s := range b.shots[flood] {
		if s.Method != "" || s.Count != 0 || s.Budget() >= floodBudget {
			t.Errorf("a twin's attempt: %+v", s.Attempt)
		}
	}
	if len(b.shots[flood]) == 0 || len(b.shots[exhaust]) != 1 || b.shots[exhaust][0].Method != agent.Exhaust {
		t.Errorf("%d attempts for a flood, %+v otherwise", len(b.shots[flood]), b.shots[exhaust])
	}
}
