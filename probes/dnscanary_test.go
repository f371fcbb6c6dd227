package probes

import (
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	miekg "github.com/miekg/dns"

	"bottle.internal/internal/echo"
)

func newDNSCanary(t *testing.T, z Zone, addr netip.AddrPort) *DNSCanary {
	t.Helper()
	c, err := NewDNSCanary("names", z, addr)
	needs(t, addr.Addr(), err)
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// resolve asks c as a resolver does.
func resolve(t *testing.T, c *DNSCanary, network, name string, kind uint16) *miekg.Msg {
	t.Helper()
	r, _, err := (&miekg.Client{Net: network, Timeout: 5 * time.Second}).Exchange(new(miekg.Msg).SetQuestion(miekg.Fqdn(name), kind), c.Addr().String())
	if err != nil {
		t.Fatalf("%s over %s: %v", name, network, err)
	}
	return r
}

func TestDNSCanaryProvesAndLogs(t *testing.T) {
	for _, addr := range []netip.AddrPort{anyLoopback, netip.MustParseAddrPort("[::1]:0")} {
		for _, network := range []string{"udp", "tcp"} {
			c := newDNSCanary(t, Zone{Name: "t.example"}, addr)
			n := echo.NewNonce()
			r := resolve(t, c, network, "a."+strings.ToUpper(string(n))+".T.example", miekg.TypeTXT)
			if len(r.Answer) != 1 || !r.Authoritative {
				t.Fatalf("%s", r)
			}
			if reply, err := proofOf(r.Answer[0]); err != nil || !c.Secret().Verify(n, reply) || reply.Local != c.Addr().String() {
				t.Errorf("%s over %s: %+v, %v", addr, network, reply, err)
			}
			all := sightings(t, c)
			if len(all) != 1 || all[0].Nonce != n || all[0].Network != "dns" || all[0].Name != "names" || all[0].Local != c.Addr().String() {
				t.Errorf("%s over %s: sightings %+v", addr, network, all)
			}
			if got := c.Strangers(time.Time{}); len(got) != 0 {
				t.Errorf("%s over %s: strangers %+v", addr, network, got)
			}
		}
	}
}

// What is asked outside the zone is refused, and was asked.
func TestDNSCanaryIsAnAuthority(t *testing.T) {
	c := newDNSCanary(t, Zone{}, anyLoopback)
	n := string(echo.NewNonce())
	for _, tc := range []struct {
		name         string
		kind         uint16
		code, answer int
		soa          bool
	}{
		{canaryZone, miekg.TypeSOA, miekg.RcodeSuccess, 1, false},
		{canaryZone, miekg.TypeNS, miekg.RcodeSuccess, 1, false},
		{canaryZone, miekg.TypeA, miekg.RcodeSuccess, 0, true},
		{"www." + canaryZone, miekg.TypeA, miekg.RcodeNameError, 0, true},
		{n + "." + canaryZone, miekg.TypeA, miekg.RcodeSuccess, 0, true},
		{n + "." + canaryZone, miekg.TypeNULL, miekg.RcodeSuccess, 1, false},
		{n + "." + canaryZone, miekg.TypeANY, miekg.RcodeSuccess, 1, false},
		{n + ".example", miekg.TypeTXT, miekg.RcodeRefused, 0, false},
		{n + ".x" + canaryZone, miekg.TypeTXT, miekg.RcodeRefused, 0, false},
		{"www.example", miekg.TypeTXT, miekg.RcodeRefused, 0, false},
	} {
		r := resolve(t, c, "udp", tc.name, tc.kind)
		if r.Rcode != tc.code || len(r.Answer) != tc.answer || tc.soa != (len(r.Ns) == 1) || r.RecursionAvailable {
			t.Errorf("%s %s: %s", tc.name, miekg.TypeToString[tc.kind], r)
		}
	}
	if all := sightings(t, c); len(all) != 5 {
		t.Errorf("%d sightings, want 5", len(all))
	}
	if got := c.Strangers(time.Time{}); len(got) != 5 {
		t.Errorf("%d strangers, want 5", len(got))
	}
}

// A name leads elsewhere when it is asked for again, and other names and the other family are not touched by that.
func TestDNSCanaryRebinds(t *testing.T) {
	first, then, six := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("2001:db8::1")
	c := newDNSCanary(t, Zone{Addrs: [][]netip.Addr{{first, six}, {then}}, TTL: 2 * time.Second}, anyLoopback)
	n, other := string(echo.NewNonce())+"."+canaryZone, string(echo.NewNonce())+"."+canaryZone
	for i, tc := range []struct {
		name string
		kind uint16
		want string
	}{
		{n, miekg.TypeA, first.String()}, {strings.ToUpper(n), miekg.TypeA, then.String()}, {n, miekg.TypeA, then.String()},
		{n, miekg.TypeAAAA, six.String()}, {n, miekg.TypeAAAA, ""}, {other, miekg.TypeA, first.String()},
	} {
		r := resolve(t, c, "udp", tc.name, tc.kind)
		have := ""
		for _, rr := range r.Answer {
			if a, ok := rr.(*miekg.A); ok {
				have += a.A.String()
			} else if a, ok := rr.(*miekg.AAAA); ok {
				have += a.AAAA.String()
			}
			if rr.Header().Ttl != 2 {
				t.Errorf("%d: TTL %d", i, rr.Header().Ttl)
			}
		}
		if have != tc.want {
			t.Errorf("%d: %q, want %q", i, have, tc.want)
		}
	}
}

func TestDNSCanaryOnOneConnection(t *testing.T) {
	c := newDNSCanary(t, Zone{}, anyLoopback)
	first, second := echo.NewNonce(), echo.NewNonce()
	conn, err := miekg.Dial("tcp", c.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
	for _, name := range []string{"www", string(first), string(second)} {
		if err := conn.WriteMsg(new(miekg.Msg).SetQuestion(name+"."+canaryZone+".", miekg.TypeTXT)); err != nil {
			t.Fatal(err)
		}
		if _, err := conn.ReadMsg(); err != nil {
			t.Fatal(err)
		}
	}
	if all := sightings(t, c); len(all) != 2 || all[0].Nonce != first || all[1].Nonce != second {
		t.Errorf("sightings %+v", all)
	}
}

// Whoever comes with something else than a question came all the same.
func TestDNSCanaryKnowsMoreThanNames(t *testing.T) {
	c := newDNSCanary(t, Zone{}, anyLoopback)
	n := echo.NewNonce()
	for name, answer := range map[string][]byte{
		"stream": say(t, "tcp", c.Addr().String(), echo.Request(n)), "datagram": hear(t, emit(t, c.Addr(), echo.Datagram(n))),
	} {
		if reply, err := echo.ParseResponse(answer); err != nil || !c.Secret().Verify(n, reply) {
			t.Errorf("%s: %+v, %v", name, reply, err)
		}
	}
	say(t, "tcp", c.Addr().String(), clientHello(n))
	say(t, "tcp", c.Addr().String(), []byte{0, 20, 1})
	say(t, "tcp", c.Addr().String(), nil)
	if all := sightings(t, c); len(all) != 3 {
		t.Errorf("sightings %+v", all)
	}
	if got := c.Strangers(time.Time{}); len(got) != 2 {
		t.Errorf("strangers %+v", got)
	}
}

func TestDNSCanaryAliveAndClose(t *testing.T) {
	c := newDNSCanary(t, Zone{}, anyLoopback)
	if err := c.Target().Alive(t.Context()); err != nil {
		t.Fatal(err)
	}
	if all := sightings(t, c); len(all) != 2 {
		t.Errorf("%d sightings of its own, want 2", len(all))
	}
	if again, err := NewDNSCanary("x", Zone{}, c.Addr()); err == nil {
		_ = again.Close()
		t.Error("two canaries at one address")
	}
	for _, half := range []func() error{c.tcp.Close, c.udp.Close} {
		if err := half(); err != nil {
			t.Fatal(err)
		}
		if err := c.Alive(t.Context()); err == nil {
			t.Error("a canary that lost a socket is alive")
		}
	}
	if err := c.Close(); err != nil {
		t.Error("closing twice:", err)
	}
	if free, err := net.Listen("tcp4", c.Addr().String()); err != nil {
		t.Error(err)
	} else {
		_ = free.Close()
	}
	if bad, err := NewDNSCanary("x", Zone{Name: strings.Repeat("x", 64)}, anyLoopback); err == nil {
		_ = bad.Close()
		t.Error("a zone without a name")
	}
}

// The proof is whole whatever is in it, and cut off rather than too long for a datagram.
func TestZoneProofs(t *testing.T) {
	z := newZone(Zone{})
	n := echo.NewNonce()
	q := dnsQuery(n, canaryZone, miekg.TypeTXT)
	for _, name := range []string{`a "quoted" \ name`, strings.Repeat("long ", 60)} {
		proof := echo.Line(echo.NewReply(echo.NewSecret(), name, n, "peer", "local"))
		var r miekg.Msg
		if err := r.Unpack(z.answer(q, miekg.MaxMsgSize, proof)); err != nil || len(r.Answer) != 1 {
			t.Fatalf("%v, %s", err, &r)
		}
		if reply, err := proofOf(r.Answer[0]); err != nil || reply.Name != name {
			t.Errorf("%+v, %v", reply, err)
		}
		if b := z.answer(q, miekg.MinMsgSize, proof); len(b) > miekg.MinMsgSize || r.Unpack(b) != nil || r.Truncated != (len(proof) > 440) {
			t.Errorf("%d bytes: %s", len(b), &r)
		}
	}
}

func FuzzZone(f *testing.F) {
	n := echo.Nonce("0123456789abcdef0123456789abcdef")
	f.Add(dnsQuery(n, canaryZone, typeTXT))
	f.Add(dnsQuery(n, "", typeA))
	f.Add([]byte{})
	z := newZone(Zone{Addrs: [][]netip.Addr{{netip.MustParseAddr("192.0.2.1")}}})
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, proof := range [][]byte{nil, []byte("proof")} {
			answer := z.answer(b, miekg.MinMsgSize, proof)
			var r miekg.Msg
			if answer != nil && (r.Unpack(answer) != nil || !r.Response) {
				t.Errorf("%x is answered %x", b, answer)
			}
		}
	})
}
