package probes

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"time"

	"bottle.internal/internal/echo"
)

// An ICMPCanary is a raw socket that logs every ping of one address of the host, with the nonce if its payload is one's datagram form.
// It proves nothing to who pings: the kernel answers, as it does anyway, and so may anything on the way. It is safe for concurrent use.
type ICMPCanary struct {
	name   string
	addr   netip.Addr
	ledger ledger
	conn   *earshot
	deaf   chan struct{} // closed when nothing is heard any more
}

// NewICMPCanary brings up a canary at addr, which may not be the wildcard. It takes root, or CAP_NET_RAW: without, the error says so
// and is fs.ErrPermission. It must be closed.
func NewICMPCanary(name string, addr netip.Addr) (*ICMPCanary, error) {
	if !addr.IsValid() || addr.IsUnspecified() {
		return nil, fmt.Errorf("probes: an ICMP canary at %q: want one address of this host", addr)
	}
	conn, err := net.ListenPacket(icmpNetwork(addr), addr.String())
	if errors.Is(err, fs.ErrPermission) {
		return nil, fmt.Errorf("probes: an ICMP canary at %q: a raw socket takes root, or CAP_NET_RAW: %w", addr, err)
	}
	if err != nil {
		return nil, fmt.Errorf("probes: an ICMP canary at %q: %w", addr, err)
	}
	if at, err := netip.ParseAddr(conn.LocalAddr().String()); err != nil || at != addr {
		_ = conn.Close()
		return nil, fmt.Errorf("probes: an ICMP canary at %q: the socket is at %q", addr, conn.LocalAddr())
	}
	c := &ICMPCanary{name: name, addr: addr, conn: newEarshot(conn), deaf: make(chan struct{})}
	go c.serve()
	return c, nil
}

func icmpNetwork(addr netip.Addr) string {
	if addr.Is6() {
		return "ip6:ipv6-icmp"
	}
	return "ip4:icmp"
}

// Addr is the address whose pings are heard.
func (c *ICMPCanary) Addr() netip.Addr { return c.addr }

// Sightings are the nonces that arrived, those of Alive among them; Peer and Local are addresses without a port. An error means that
// the log is not complete.
func (c *ICMPCanary) Sightings(ctx context.Context) ([]echo.Sighting, error) {
	all, err := c.ledger.sightings(ctx)
	return all, errors.Join(err, c.conn.whole())
}

// Strangers are the pings since then that brought no nonce.
func (c *ICMPCanary) Strangers(since time.Time) []Stranger { return c.ledger.strangers("", since) }

// Alive pings the address from itself with a fresh nonce and waits until that was heard.
func (c *ICMPCanary) Alive(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, aliveLimit)
	defer cancel()
	n := echo.NewNonce()
	if err := c.ping(ctx, echo.Datagram(n)); err != nil {
		return err
	}
	for {
		all, err := c.Sightings(ctx)
		if err != nil {
			return err
		}
		if len(of(n, all)) > 0 {
			return nil
		}
		select {
		case <-c.deaf:
			return fmt.Errorf("pings of %q are heard no more: %w", c.addr, net.ErrClosed)
		case <-ctx.Done():
			return fmt.Errorf("a ping of %q was not heard: %w", c.addr, ctx.Err())
		case <-time.After(time.Millisecond):
		}
	}
}

// Target is the canary as a probe pings it. It has no port, and no secret, since a ping brings no proof back.
func (c *ICMPCanary) Target() Target {
	return Target{Name: c.name, Addr: netip.AddrPortFrom(c.addr, 0), Alive: c.Alive, Sightings: c.Sightings}
}

// Close stops hearing. It may be called twice.
func (c *ICMPCanary) Close() error {
	_ = c.conn.Close()
	<-c.deaf
	return nil
}

// serve hears until the socket fails. A canary that went deaf before it was closed is found by Alive.
func (c *ICMPCanary) serve() {
	defer close(c.deaf)
	buf := make([]byte, maxDatagram)
	for {
		size, peer, err := c.conn.ReadFrom(buf)
		if err != nil {
			return
		}
		payload, ok := pingPayload(c.addr, buf[:size])
		if !ok {
			continue
		}
		v := c.ledger.enter(c.name, "icmp", peer.String(), c.addr.String())
		if m := readDatagram(payload); m.nonce != "" {
			v.saw(m.nonce)
		}
	}
}

// The types of an echo request, and what comes before its payload (RFC 792, RFC 4443 4.1).
const (
	echoRequest4 = 8
	echoRequest6 = 128
	pingHeader   = 8
)

// pingPayload is what the echo request b carries. It reports false for any other ICMP message.
func pingPayload(addr netip.Addr, b []byte) ([]byte, bool) {
	if len(b) < pingHeader || b[0] != pingType(addr) || b[1] != 0 {
		return nil, false
	}
	return b[pingHeader:], true
}

func pingType(addr netip.Addr) byte {
	if addr.Is6() {
		return echoRequest6
	}
	return echoRequest4
}

// ping sends an echo request with that payload from the address to itself.
func (c *ICMPCanary) ping(ctx context.Context, payload []byte) error {
	d := nearby()
	d.LocalAddr = &net.IPAddr{IP: c.addr.AsSlice(), Zone: c.addr.Zone()}
	conn, err := d.DialContext(ctx, icmpNetwork(c.addr), c.addr.String())
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	b := append([]byte{pingType(c.addr), 0, 0, 0, 0, 0, 0, 1}, payload...)
	if c.addr.Is4() { // for IPv6 the kernel does it
		binary.BigEndian.PutUint16(b[2:], checksum(b))
	}
	_, err = conn.Write(b)
	return err
}

// checksum is the internet checksum (RFC 1071) of b, in which its own place is 0.
func checksum(b []byte) uint16 {
	var sum uint32
	for i := 0; i+1 < len(b); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(b[i:]))
	}
	if len(b)%2 == 1 {
		sum += uint32(b[len(b)-1]) << 8
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}
