package probes

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"

	"bottle.internal/internal/echo"
)

// maxDatagram is the most that one datagram holds.
const maxDatagram = 64 << 10

// A UDPCanary is a UDP socket that logs every datagram that arrives, with its nonce if it brings one, and proves to whoever sent
// a nonce that it was there. It is bound to exactly one address. It is safe for concurrent use. Beside the echo it knows a nonce in a
// label of a name that is asked for by DNS, which it answers with the proof in TXT, and in the token of a QUIC Initial; Network tells
// which in a sighting: "udp", "dns" or "quic".
type UDPCanary struct {
	name   string
	addr   netip.AddrPort
	secret echo.Secret
	ledger ledger

	conn   *earshot
	dial   func(context.Context) (net.Conn, error) // from its own position
	visits sync.WaitGroup
	// answer is what the sender of b, understood as m, gets back, nil for nothing; nil is prove.
	answer func(v *visit, m message, b []byte) []byte
}

// NewUDPCanary brings up a canary at addr, whose port may be 0 for any. listenPacket is net.ListenPacket if nil. It must be closed.
func NewUDPCanary(name string, addr netip.AddrPort, listenPacket func(network, address string) (net.PacketConn, error)) (*UDPCanary, error) {
	if listenPacket == nil {
		listenPacket = net.ListenPacket
	}
	conn, err := listenPacket(udpNetwork(addr.Addr()), addr.String())
	if err != nil {
		return nil, fmt.Errorf("probes: a UDP canary at %q: %w", addr, err)
	}
	bound, err := boundTo(addr, conn.LocalAddr())
	if err != nil {
		_ = conn.Close()
		return nil, err
	}
	c := &UDPCanary{name: name, addr: bound, conn: newEarshot(conn), dial: func(ctx context.Context) (net.Conn, error) {
		return nearby().DialContext(ctx, "udp", bound.String())
	}}
	c.begin()
	return c, nil
}

// begin begins to hear. It is called once, before anything else but a choice of secret and of what answers.
func (c *UDPCanary) begin() {
	if c.secret == (echo.Secret{}) {
		c.secret = echo.NewSecret()
	}
	if c.answer == nil {
		c.answer = c.prove
	}
	c.visits.Go(c.serve)
}

func udpNetwork(addr netip.Addr) string {
	if addr.Is6() {
		return "udp6"
	}
	return "udp4"
}

// Addr is where the canary hears.
func (c *UDPCanary) Addr() netip.AddrPort { return c.addr }

// Secret is what the canary's proofs are made with.
func (c *UDPCanary) Secret() echo.Secret { return c.secret }

// Sightings are the nonces that arrived, those of Alive among them. An error means that the log is not
// complete: the kernel threw datagrams away, or the log is full.
func (c *UDPCanary) Sightings(ctx context.Context) ([]echo.Sighting, error) {
	all, err := c.ledger.sightings(ctx)
	return all, errors.Join(err, c.conn.whole())
}

// Strangers are the datagrams since then that brought no nonce.
func (c *UDPCanary) Strangers(since time.Time) []Stranger { return c.ledger.strangers("", since) }

// Alive sends the canary a fresh nonce from its own position and checks the proof.
func (c *UDPCanary) Alive(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, aliveLimit)
	defer cancel()
	conn, err := c.dial(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	return hail(conn, c.secret)
}

// Target is the canary as a probe sends to it.
func (c *UDPCanary) Target() Target {
	return Target{Name: c.name, Addr: c.addr, Secret: c.secret, Alive: c.Alive, Sightings: c.Sightings}
}

// Close stops hearing. It may be called twice.
func (c *UDPCanary) Close() error {
	_ = c.conn.Close()
	c.visits.Wait()
	return nil
}

// serve hears until the socket fails. A canary that went deaf before it was closed is found by Alive.
func (c *UDPCanary) serve() {
	buf := make([]byte, maxDatagram)
	for {
		n, peer, err := c.conn.ReadFrom(buf)
		if err != nil {
			return
		}
		v := c.ledger.enter(c.name, "udp", peer.String(), c.addr.String())
		m := readDatagram(buf[:n])
		if m.nonce != "" {
			v.sawAs(m.form, m.nonce)
		}
		if reply := c.answer(v, m, buf[:n]); reply != nil {
			_, _ = c.conn.WriteTo(reply, peer)
		}
	}
}

// prove answers a message that has a nonce with the proof.
func (c *UDPCanary) prove(v *visit, m message, _ []byte) []byte {
	if m.nonce == "" {
		return nil
	}
	return m.answerDatagram(echo.NewReply(c.secret, v.Name, m.nonce, v.Peer, v.Local))
}

// hail has a fresh nonce proved over datagrams.
func hail(conn net.Conn, s echo.Secret) error {
	n := echo.NewNonce()
	if _, err := conn.Write(echo.Datagram(n)); err != nil {
		return err
	}
	buf := make([]byte, echo.MaxReply)
	size, err := conn.Read(buf)
	if err != nil {
		return err
	}
	reply, err := echo.ParseResponse(buf[:size])
	if err != nil {
		return fmt.Errorf("%q: %w", conn.RemoteAddr(), err)
	}
	if !s.Verify(n, reply) {
		return fmt.Errorf("%q: the proof is not its own: %w", conn.RemoteAddr(), echo.ErrForeign)
	}
	return nil
}
