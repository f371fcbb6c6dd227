package probes

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"

	"bottle.internal/internal/echo"
)

var anyLoopback = netip.MustParseAddrPort("127.0.0.1:0")

// needs ends a test whose canary at addr did not come up. A host may be without IPv6, and without nothing else.
func needs(t *testing.T, addr netip.Addr, err error) {
	t.Helper()
	switch {
	case err != nil && addr.Is6() && (errors.Is(err, syscall.EADDRNOTAVAIL) || errors.Is(err, syscall.EAFNOSUPPORT)):
		t.Skipf("no IPv6 on this host: %v", err)
	case err != nil:
		t.Fatal(err)
	}
}

func newCanary(t *testing.T, name string, addr netip.AddrPort) *Canary {
	t.Helper()
	c, err := NewCanary(name, addr, nil)
	needs(t, addr.Addr(), err)
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// say dials addr, sends text, and returns all that comes back.
func say(t *testing.T, network, addr string, text []byte) []byte {
	t.Helper()
	d := net.Dialer{Timeout: 2 * time.Second}
	conn, err := d.DialContext(t.Context(), network, addr)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
	if _, err := conn.Write(text); err != nil {
		t.Fatal(err)
	}
	if c, ok := conn.(interface{ CloseWrite() error }); ok {
		_ = c.CloseWrite()
	}
	b, _ := io.ReadAll(conn)
	return b
}

func sightings(t *testing.T, w interface {
	Sightings(context.Context) ([]echo.Sighting, error)
}) []echo.Sighting {
	t.Helper()
	all, err := w.Sightings(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestCanaryProvesAndLogs(t *testing.T) {
	for _, addr := range []netip.AddrPort{anyLoopback, netip.MustParseAddrPort("[::1]:0")} {
		c := newCanary(t, "host", addr)
		n := echo.NewNonce()
		reply, err := echo.ParseResponse(say(t, "tcp", c.Addr().String(), echo.Request(n)))
		if err != nil || !c.Secret().Verify(n, reply) || reply.Local != c.Addr().String() {
			t.Errorf("%s: %+v, %v", addr, reply, err)
		}
		all := sightings(t, c)
		if len(all) != 1 || all[0].Nonce != n || all[0].Name != "host" || all[0].Peer != reply.Peer || all[0].Local != c.Addr().String() {
			t.Errorf("%s: sightings %+v", addr, all)
		}
		if got := c.Strangers(time.Time{}); len(got) != 0 {
			t.Errorf("%s: strangers %+v", addr, got)
		}
	}
}

// A request that arrives in pieces is seen whole, and not by the half of its nonce.
func TestCanaryReadsPieces(t *testing.T) {
	c := newCanary(t, "host", anyLoopback)
	n := echo.NewNonce()
	conn, err := net.Dial("tcp", c.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	for _, b := range echo.Request(n) {
		if _, err := conn.Write([]byte{b}); err != nil {
			break // it may answer before the last line
		}
	}
	b, _ := io.ReadAll(conn)
	if reply, err := echo.ParseResponse(b); err != nil || reply.Nonce != n {
		t.Errorf("%q: %v", b, err)
	}
}

func TestCanaryLogsStrangers(t *testing.T) {
	c := newCanary(t, "host", anyLoopback)
	before := time.Now()
	for _, text := range []string{"", "GET / HTTP/1.0\r\n\r\n", "GET /.bottle/echo/short HTTP/1.0\r\n\r\n"} {
		if got := say(t, "tcp", c.Addr().String(), []byte(text)); len(got) != 0 {
			t.Errorf("%q is answered %q", text, got)
		}
	}
	if got := c.Strangers(before); len(got) != 3 || got[0].Peer == "" {
		t.Errorf("strangers %+v, want 3", got)
	}
	if got := c.Strangers(time.Now()); len(got) != 0 {
		t.Errorf("strangers of the future: %+v", got)
	}
	if got := sightings(t, c); len(got) != 0 {
		t.Errorf("sightings %+v", got)
	}
}

// Who came to a wildcard came to one address of the host's, and to the canary all the same.
func TestCanaryAtTheWildcard(t *testing.T) {
	c := newCanary(t, "host", netip.MustParseAddrPort("0.0.0.0:0"))
	if err := c.Alive(t.Context()); err != nil {
		t.Error(err)
	}
	say(t, "tcp", netip.AddrPortFrom(netip.MustParseAddr("127.0.0.2"), c.Addr().Port()).String(), []byte("HELO\n"))
	if got := c.Strangers(time.Time{}); len(got) != 1 || !strings.HasPrefix(got[0].Local, "127.0.0.2:") {
		t.Errorf("strangers %+v", got)
	}
}

func TestCanaryAlive(t *testing.T) {
	c := newCanary(t, "host", anyLoopback)
	if err := c.Alive(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := len(sightings(t, c)); n != 1 {
		t.Errorf("%d sightings of its own dial, want 1", n)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if err := c.Alive(t.Context()); err == nil {
		t.Error("a closed canary is alive")
	}
	if err := c.Close(); err != nil {
		t.Error("closing twice:", err)
	}
}

// What answers in a canary's place is not the canary.
func TestAliveKnowsAnImpostor(t *testing.T) {
	c, other := newCanary(t, "host", anyLoopback), newCanary(t, "other", anyLoopback)
	if err := knock(t.Context(), "tcp", other.Addr().String(), nil, c.Secret()); !errors.Is(err, echo.ErrForeign) {
		t.Errorf("another canary's proof: %v", err)
	}
}

func TestCanaryIsWhereItWasAsked(t *testing.T) {
	elsewhere := func(network, _ string) (net.Listener, error) { return net.Listen(network, "127.0.0.1:0") }
	if c, err := NewCanary("x", netip.MustParseAddrPort("127.0.0.2:0"), elsewhere); err == nil {
		_ = c.Close()
		t.Error("a canary at another address than the one asked for")
	}
	c := newCanary(t, "host", anyLoopback)
	if again, err := NewCanary("x", c.Addr(), nil); err == nil {
		_ = again.Close()
		t.Error("two canaries at one address")
	}
}

// A canary's close ends what hangs on it.
func TestCanaryCloseEndsVisits(t *testing.T) {
	c := newCanary(t, "host", anyLoopback)
	conn, err := net.Dial("tcp", c.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	for len(c.Strangers(time.Time{})) == 0 {
		time.Sleep(time.Millisecond)
	}
	start := time.Now()
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(start); took > visitLimit/2 {
		t.Errorf("closing took %s", took)
	}
}

// A ledger that is full is no witness, rather than one with gaps.
func TestLedgerOverflow(t *testing.T) {
	var l ledger
	for range maxEntries {
		l.enter("x", "tcp", "peer", "local").saw(echo.NewNonce())
	}
	if all, err := l.sightings(t.Context()); err != nil || len(all) != maxEntries {
		t.Fatalf("%d sightings, %v", len(all), err)
	}
	l.enter("x", "tcp", "peer", "local")
	if all, err := l.sightings(t.Context()); !errors.Is(err, errOverflow) || len(all) != maxEntries {
		t.Errorf("after one more: %d sightings, %v", len(all), err)
	}
}
