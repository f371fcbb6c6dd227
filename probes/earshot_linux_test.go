package probes

import (
	"errors"
	"net"
	"testing"

	"bottle.internal/internal/echo"
)

// gated is a socket whose datagrams are read when it is let.
type gated struct {
	*net.UDPConn
	let chan struct{}
}

func (s gated) ReadFrom(b []byte) (int, net.Addr, error) {
	<-s.let
	return s.UDPConn.ReadFrom(b)
}

// A nonce that the kernel threw away in a flood was not seen, and its canary is no witness of its silence.
func TestWhatIsMissedIsKnown(t *testing.T) {
	for _, asked := range []bool{true, false} {
		whatIsMissedIsKnown(t, asked)
	}
}

// asked is whether somebody asks before the canary is closed.
func whatIsMissedIsKnown(t *testing.T, asked bool) {
	t.Helper()
	let := make(chan struct{})
	c, err := NewUDPCanary("host", anyLoopback, func(network, address string) (net.PacketConn, error) {
		conn, err := net.ListenPacket(network, address)
		return gated{conn.(*net.UDPConn), let}, err
	})
	needs(t, anyLoopback.Addr(), err)
	defer func() { _ = c.Close() }()
	n := echo.NewNonce()
	conn := emit(t, c.Addr(), echo.Datagram(n))
	if all := sightings(t, c); len(all) != 0 {
		t.Fatalf("sightings before anything was read: %+v", all)
	}
	for range 20_000 {
		_, _ = conn.Write(make([]byte, 1024))
	}
	if asked {
		if _, err := c.Sightings(t.Context()); !errors.Is(err, errMissed) {
			t.Errorf("after a flood: %v", err)
		}
	}
	close(let)
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Sightings(t.Context()); !errors.Is(err, errMissed) {
		t.Errorf("after the flood and its end: %v", err)
	}
}

func TestNothingIsMissed(t *testing.T) {
	c := newUDPCanary(t, "host", anyLoopback)
	for range 10 {
		if err := c.Alive(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if n, err := drops(c.conn.PacketConn); n != 0 || err != nil {
		t.Errorf("%d drops, %v", n, err)
	}
	if all := sightings(t, c); len(all) != 10 {
		t.Errorf("%d sightings", len(all))
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if all := sightings(t, c); len(all) != 10 {
		t.Errorf("%d sightings after its end", len(all))
	}
}
