package probes

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"net/http"
	"net/netip"
	"testing"
	"time"

	"bottle.internal/internal/echo"
	"bottle.internal/probes/agent"
)

const (
	listedName  = "origin.test"
	reboundName = "rebound.test"
)

// A fakeProxy is a proxy with holes.
type fakeProxy struct {
	anyPort, anyName, anyAddress bool // what it lets through
	nothing                      bool // it lets nothing through
	ends                         bool // it ends TLS itself
	silent                       bool // it says nothing of what it refuses in a tunnel
}

// guest is the proxy as a guest meets it.
func (f fakeProxy) guest(p *Proxy) guest {
	return func(a agent.Attempt) agent.Result {
		messages := a.Messages()
		r, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(messages[0])))
		if err != nil {
			return refusing(a)
		}
		host, port, _ := net.SplitHostPort(r.Host)
		at := netip.AddrPortFrom(p.Origin.Addr.Addr(), netip.MustParseAddrPort("0.0.0.0:"+port).Port())
		if host == reboundName {
			at = p.Own.Addr
		}
		switch {
		case f.nothing, host != listedName && host != reboundName, host == listedName && at != p.Origin.Addr && !f.anyPort, host == reboundName && !f.anyAddress:
			return refusing(a)
		}
		last := messages[len(messages)-1]
		if _, _, isTLS := readHello(last); isTLS && bytes.Contains(last, []byte(canaryZone)) && !f.anyName {
			if f.silent {
				return agent.Result{Stage: agent.StageDone, ElapsedUS: 100}
			}
			return agent.Result{Stage: agent.StageDone, Reply: []byte{21, 3, 1, 0, 2, 2, 49}, ElapsedUS: 100}
		}
		if f.ends {
			other, err := NewOriginCanary("man in the middle", netip.AddrPortFrom(at.Addr(), 0), nil)
			if err != nil {
				return refusing(a)
			}
			defer func() { _ = other.Close() }()
			at = other.Addr()
		}
		return agent.Result{Stage: agent.StageDone, Reply: answerTo(at, last), ElapsedUS: 100}
	}
}

// answerTo is the first answer to m of who listens at at.
func answerTo(at netip.AddrPort, m []byte) []byte {
	conn, err := net.DialTimeout("tcp", at.String(), time.Second)
	if err != nil {
		return nil
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(200 * time.Millisecond))
	_, _ = conn.Write(m)
	b, _ := io.ReadAll(io.LimitReader(conn, echo.MaxReply))
	return b
}

// withOriginOf is a site with a proxy that has an origin on its list.
func withOriginOf(t *testing.T, f fakeProxy) Site {
	t.Helper()
	s := proxied(t, refusing, deny)
	port, err := registered.freePort()
	if err != nil {
		t.Fatal(err)
	}
	s.Proxy.Origin = Origin{Name: listedName, Addr: netip.AddrPortFrom(s.Proxy.Near, port), Rebound: reboundName}
	s.Proxy.Own = newCanary(t, "egress", anyLoopback).Target()
	by := f.guest(s.Proxy)
	s.Run = walled(s, func(a agent.Attempt) agent.Result {
		if a.Addr == proxyAddr {
			return by(a)
		}
		return deny(a)
	}).run(nil)
	return s
}

func TestOrigin(t *testing.T) {
	const allow, port, sni, rebind = "proxy.allow.https", "proxy.deny.port", "proxy.sni-mismatch", "net.dns.rebind"
	for name, c := range map[string]struct {
		by   fakeProxy
		want map[string]Verdict
	}{
		"a proxy that holds":          {fakeProxy{}, map[string]Verdict{allow: Contained, port: Contained, sni: Contained, rebind: Contained}},
		"it forgets the port":         {fakeProxy{anyPort: true}, map[string]Verdict{allow: Contained, port: Leak, sni: Contained}},
		"it forgets the name inside":  {fakeProxy{anyName: true}, map[string]Verdict{allow: Contained, port: Contained, sni: Leak}},
		"it forgets the address":      {fakeProxy{anyAddress: true}, map[string]Verdict{allow: Contained, rebind: Leak}},
		"it lets nothing through":     {fakeProxy{nothing: true}, map[string]Verdict{allow: Overblocked, port: Contained, sni: Inconclusive, rebind: Contained}},
		"it ends TLS":                 {fakeProxy{ends: true}, map[string]Verdict{allow: Overblocked}},
		"it does not say why it ends": {fakeProxy{silent: true}, map[string]Verdict{allow: Contained, sni: Inconclusive}},
	} {
		t.Run(name, func(t *testing.T) {
			rep, err := Run(t.Context(), withOriginOf(t, c.by), quick, allow, port, sni, rebind)
			if err != nil {
				t.Fatal(err)
			}
			for id, want := range c.want {
				if f := finding(t, rep, id); f.Verdict != want {
					t.Errorf("want %s: %s", want, f)
				}
			}
		})
	}
}

// What the proxy's list has nothing of ours for is not tried, and never green.
func TestNoOrigin(t *testing.T) {
	for _, p := range originProbes {
		s := withOriginOf(t, fakeProxy{})
		s.Proxy.Origin = Origin{}
		rep, err := Run(t.Context(), s, quick, p.ID, loopbackID)
		if err != nil {
			t.Fatal(err)
		}
		if f := finding(t, rep, p.ID); f.Verdict != Inconclusive {
			t.Errorf("asked for by name: %s", f)
		}
		rep, err = Run(t.Context(), s, quick, p.ID[:len(p.ID)-1]+"?", loopbackID)
		if err != nil {
			t.Fatal(err)
		}
		if f := finding(t, rep, p.ID); f.Verdict != NotApplicable || f.Reason == "" {
			t.Errorf("asked for by a pattern: %s", f)
		}
	}
}

// A place where something else listens is none of ours.
func TestOriginTaken(t *testing.T) {
	s := withOriginOf(t, fakeProxy{})
	l, err := net.Listen("tcp4", s.Proxy.Origin.Addr.String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	rep, err := Run(t.Context(), s, quick, "proxy.allow.https", loopbackID)
	if err != nil {
		t.Fatal(err)
	}
	if f := finding(t, rep, "proxy.allow.https"); f.Verdict != Inconclusive {
		t.Errorf("%s", f)
	}
}

// The first flight of an origin proves it for one hello, and for no other.
func TestOriginProof(t *testing.T) {
	c, err := NewOriginCanary("origin", anyLoopback, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if err := c.Alive(t.Context()); err != nil {
		t.Fatal(err)
	}
	n := echo.NewNonce()
	hello := originHello(n)
	flight := answerTo(c.Addr(), hello)
	if !c.ProvedBy(hello, flight) {
		t.Fatalf("%d bytes prove nothing", len(flight))
	}
	if len(flight) >= echo.MaxReply {
		t.Errorf("a flight of %d bytes is cut off", len(flight))
	}
	other, err := NewOriginCanary("another", anyLoopback, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = other.Close() })
	for name, proved := range map[string]bool{
		"another hello":     c.ProvedBy(originHello(n), flight),
		"another origin":    c.ProvedBy(hello, answerTo(other.Addr(), hello)),
		"no answer":         c.ProvedBy(hello, nil),
		"no hello":          c.ProvedBy(nil, flight),
		"half an answer":    c.ProvedBy(hello, flight[:len(flight)/2]),
		"without signature": c.ProvedBy(hello, flight[:len(flight)-60]),
	} {
		if proved {
			t.Errorf("%s proves the origin", name)
		}
	}
	if all, err := c.Sightings(t.Context()); err != nil || len(of(n, all)) != 1 || of(n, all)[0].Network != "tls" {
		t.Errorf("%v, %v", all, err)
	}
}

func FuzzReadFlight(f *testing.F) {
	f.Add([]byte{22, 3, 3, 0, 4, 2, 0, 0, 0})
	f.Add([]byte{22, 3, 3, 0, 12, 12, 0, 0, 8, 3, 0, 23, 1, 4, 4, 3, 0})
	f.Fuzz(func(_ *testing.T, b []byte) { readFlight(b) })
}
