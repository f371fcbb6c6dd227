package probes

import (
	"net"
	"net/netip"
	"testing"
	"time"

	"bottle.internal/internal/echo"
	"bottle.internal/probes/agent"
)

var proxyAddr = netip.MustParseAddrPort("192.0.2.7:8888")

// proxied is a site with a proxy that does with what it is asked what by says; elsewhere the wall decides.
func proxied(t *testing.T, by, wall guest) Site {
	t.Helper()
	s := site(t, TSI)
	s.Proxy = &Proxy{Addr: proxyAddr, Near: netip.MustParseAddr("127.0.0.2"), Dial: echo.Ask}
	s.Run = walled(s, func(a agent.Attempt) agent.Result {
		if a.Addr == proxyAddr {
			return by(a)
		}
		return wall(a)
	}).run(nil)
	return s
}

// refusing is a proxy that lets nothing through.
func refusing(agent.Attempt) agent.Result {
	return agent.Result{Stage: agent.StageDone, Reply: []byte("HTTP/1.1 403 Forbidden\r\n\r\n"), ElapsedUS: 100}
}

// relaying is a proxy that takes every tunnel, also one to itself.
func relaying(a agent.Attempt) agent.Result {
	conn, err := net.DialTimeout("tcp", a.Also.String(), a.Budget())
	if err != nil {
		return refuse(a)
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(a.Budget()))
	messages := a.Messages()
	_, _ = conn.Write(messages[len(messages)-1])
	buf := make([]byte, echo.MaxReply)
	n, _ := conn.Read(buf)
	return agent.Result{Stage: agent.StageDone, Reply: buf[:n], ElapsedUS: 100}
}

// What goes past the proxy, or through it twice, is stopped or is a leak.
func TestProxyRoads(t *testing.T) {
	for _, p := range proxyRoadProbes {
		for name, c := range map[string]struct {
			by, wall guest
			want     Verdict
		}{
			"both hold":     {refusing, deny, Contained},
			"none":          {relaying, open, Leak},
			"the proxy":     {refusing, open, map[bool]Verdict{true: Leak, false: Contained}[p.ID == "proxy.noproxy-direct"]},
			"the wall":      {relaying, deny, map[bool]Verdict{true: Contained, false: Leak}[p.ID == "proxy.noproxy-direct"]},
			"none is there": {refuse, refuse, Inconclusive},
		} {
			rep, err := Run(t.Context(), proxied(t, c.by, c.wall), quick, p.ID)
			if err != nil {
				t.Fatal(err)
			}
			if f := finding(t, rep, p.ID); f.Verdict != c.want {
				t.Errorf("%s: want %s: %s", name, c.want, f)
			}
		}
	}
}

// A tunnel to the proxy itself comes first, so that what is meant for the far end goes to no proxy that refused.
func TestRelayedMessages(t *testing.T) {
	s := proxied(t, refusing, deny)
	r := newRig(s, quick)
	defer func() { _ = r.close() }()
	a, none := relayed(func(p Proxy) string { return p.Addr.String() })(r, *s.Proxy)
	if none.why != "" {
		t.Fatal(none.why)
	}
	n := echo.NewNonce()
	sent := a.send(n)
	if len(sent) != 3 || string(sent[0][:len("CONNECT 192.0.2.7:8888 ")]) != "CONNECT 192.0.2.7:8888 " || string(sent[2]) != string(echo.Request(n)) {
		t.Errorf("%q", sent)
	}
}

// What the guest may reach anyway shows nothing of the proxy.
func TestPastProxyNeedsAWall(t *testing.T) {
	s := proxied(t, refusing, open)
	for name, edit := range map[string]func(*Site){
		"no proxy":      func(s *Site) { s.Proxy = nil },
		"no canary":     func(s *Site) { s.Proxy.Near = netip.Addr{} },
		"it is allowed": func(s *Site) { s.Proxy.Near = s.Allowed.Addr.Addr() },
	} {
		s := s
		if s.Proxy != nil {
			p := *s.Proxy
			s.Proxy = &p
		}
		edit(&s)
		r := newRig(s, quick)
		if _, none := r.pastProxyAims(); none.why == "" {
			t.Errorf("%s: it has an aim", name)
		}
		_ = r.close()
	}
}
