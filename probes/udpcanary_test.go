package probes

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"testing"
	"time"

	"bottle.internal/internal/echo"
)

func newUDPCanary(t *testing.T, name string, addr netip.AddrPort) *UDPCanary {
	t.Helper()
	c, err := NewUDPCanary(name, addr, nil)
	needs(t, addr.Addr(), err)
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// emit sends one datagram to addr and returns the socket that an answer comes to.
func emit(t *testing.T, addr netip.AddrPort, b []byte) net.Conn {
	t.Helper()
	conn, err := net.Dial("udp", addr.String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
	if _, err := conn.Write(b); err != nil {
		t.Fatal(err)
	}
	return conn
}

// hear reads one datagram.
func hear(t *testing.T, conn net.Conn) []byte {
	t.Helper()
	buf := make([]byte, maxDatagram)
	n, err := conn.Read(buf)
	if err != nil {
		t.Fatal(err)
	}
	return buf[:n]
}

func TestUDPCanaryProvesAndLogs(t *testing.T) {
	for _, addr := range []netip.AddrPort{anyLoopback, netip.MustParseAddrPort("[::1]:0")} {
		c := newUDPCanary(t, "host", addr)
		n := echo.NewNonce()
		conn := emit(t, c.Addr(), echo.Datagram(n))
		reply, err := echo.ParseResponse(hear(t, conn))
		if err != nil || !c.Secret().Verify(n, reply) || reply.Local != c.Addr().String() || reply.Peer != conn.LocalAddr().String() {
			t.Errorf("%s: %+v, %v", addr, reply, err)
		}
		all := sightings(t, c)
		if len(all) != 1 || all[0].Nonce != n || all[0].Network != "udp" || all[0].Name != "host" || all[0].Peer != reply.Peer || all[0].Local != c.Addr().String() {
			t.Errorf("%s: sightings %+v", addr, all)
		}
		if got := c.Strangers(time.Time{}); len(got) != 0 {
			t.Errorf("%s: strangers %+v", addr, got)
		}
	}
}

// A datagram that brings no nonce is logged, and no answer tells its sender that it arrived.
func TestUDPCanaryLogsStrangers(t *testing.T) {
	c := newUDPCanary(t, "host", anyLoopback)
	before := time.Now()
	conn := emit(t, c.Addr(), nil)
	for _, text := range []string{"HELO", "BOTTLE short", string(echo.NewNonce())} {
		if _, err := conn.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	n := echo.NewNonce()
	if _, err := conn.Write(echo.Datagram(n)); err != nil {
		t.Fatal(err)
	}
	if reply, err := echo.ParseResponse(hear(t, conn)); err != nil || reply.Nonce != n {
		t.Errorf("the first answer is %+v, %v", reply, err)
	}
	if got := c.Strangers(before); len(got) != 4 || got[0].Peer != conn.LocalAddr().String() {
		t.Errorf("strangers %+v, want 4", got)
	}
	if got := sightings(t, c); len(got) != 1 {
		t.Errorf("sightings %+v", got)
	}
}

func TestUDPCanaryAlive(t *testing.T) {
	c := newUDPCanary(t, "host", anyLoopback)
	if err := c.Target().Alive(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := len(sightings(t, c)); n != 1 {
		t.Errorf("%d sightings of its own, want 1", n)
	}
	other := newUDPCanary(t, "other", anyLoopback)
	if err := hail(emit(t, other.Addr(), nil), c.Secret()); !errors.Is(err, echo.ErrForeign) {
		t.Errorf("another canary's proof: %v", err)
	}
	for range 2 {
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.Alive(t.Context()); err == nil || os.IsTimeout(err) {
		t.Errorf("a closed canary is alive: %v", err)
	}
}

// A socket that reads and never answers is found dead within the limit, and not waited for for ever.
func TestUDPCanaryAliveHasALimit(t *testing.T) {
	deaf, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = deaf.Close() }()
	c := newUDPCanary(t, "host", anyLoopback)
	start := time.Now()
	conn := emit(t, netip.MustParseAddrPort(deaf.LocalAddr().String()), nil)
	_ = conn.SetDeadline(start.Add(50 * time.Millisecond))
	if err := hail(conn, c.Secret()); !os.IsTimeout(err) {
		t.Errorf("%v", err)
	}
}

func TestUDPCanaryIsWhereItWasAsked(t *testing.T) {
	elsewhere := func(network, _ string) (net.PacketConn, error) { return net.ListenPacket(network, "127.0.0.1:0") }
	if c, err := NewUDPCanary("x", netip.MustParseAddrPort("127.0.0.2:0"), elsewhere); err == nil {
		_ = c.Close()
		t.Error("a canary at another address than the one asked for")
	}
	c := newUDPCanary(t, "host", anyLoopback)
	if again, err := NewUDPCanary("x", c.Addr(), nil); err == nil {
		_ = again.Close()
		t.Error("two canaries at one address")
	}
	// What is sent to another address of the host on the same port does not arrive.
	beside := netip.AddrPortFrom(netip.MustParseAddr("127.0.0.2"), c.Addr().Port())
	if _, err := emit(t, beside, echo.Datagram(echo.NewNonce())).Read(make([]byte, 1)); err == nil {
		t.Error("the canary answers for another address")
	}
	if got := sightings(t, c); len(got) != 0 {
		t.Errorf("sightings %+v", got)
	}
}

// A flood makes the log no witness, rather than one with gaps, and the canary answers all the same.
func TestUDPCanaryUnderFlood(t *testing.T) {
	c := newUDPCanary(t, "host", anyLoopback)
	conn := emit(t, c.Addr(), nil)
	for limit := time.Now().Add(20 * time.Second); ; {
		if _, err := c.Sightings(t.Context()); errors.Is(err, errOverflow) || errors.Is(err, errMissed) {
			break
		} else if time.Now().After(limit) {
			t.Fatalf("no overflow; %v", err)
		}
		for range 100 {
			_, _ = conn.Write([]byte("x"))
		}
	}
	if err := c.Alive(t.Context()); err != nil {
		t.Error(err)
	}
}
