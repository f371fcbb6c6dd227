package probes

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"

	"bottle.internal/internal/echo"
	"bottle.internal/probes/agent"
)

// injectionProbes are the rows that ask whether a way out is a way in for everybody.
var injectionProbes = []Probe{
	{
		ID: "net.udp.injection", Family: "net.udp", Severity: Medium, Expect: Contain,
		What: "Send a datagram to the allowed address, upon which the host sends to where it came from by other sockets of its own, from another port and from another address.",
		Why: "A relay that takes whatever comes to the port of a guest's datagram lets anybody who finds the port speak to the guest in the name of whom it asked: " +
			"forged answers of resolvers and clocks.",
		Control: "The same is done from the host's own position before and after, and arrives there: a socket that takes everything shows that what is sent would be heard. The " +
			"allowed destination echoes a nonce before and after in the same batch.",
		Remedy: "Connect the relay's sockets, or take from them only what whom the guest asked has sent.",
		Source: "tsi-and-virtio-net, row 27; libkrun 98163265 tsi_dgram.rs (bound to 0.0.0.0 and not connected)",
		Where:  "Where the allowed address is this host's, as in topology alias. On the simulator, whose relay connects its sockets, as virtio-net's does, it holds by construction.",
		aims:   (*rig).injectionAims,
	},
}

func (r *rig) injectionAims() ([]aim, absence) {
	ip := r.site.Allowed.Addr.Addr()
	switch {
	case !ip.Is4():
		return nil, absence{why: "the site names no allowed IPv4 destination", unproven: true}
	case !isHostAddr(ip) && !ip.IsLoopback():
		return nil, absence{why: ip.String() + " is no address of this host, from which anything could be sent in"}
	}
	c, err := newInjector(ip)
	if err != nil {
		return nil, absence{why: "no canary could be brought up at the allowed address: " + err.Error(), unproven: true}
	}
	r.undo = append(r.undo, c.Close)
	return []aim{{network: agent.UDP4, addr: c.Addr(), wall: policyWall, post: &post{Target: c.target()}}}, absence{}
}

// An injector is a canary that never answers: it sends the proof of a nonce to where that came from by sockets that nobody asked. Who has the
// proof has been spoken to by a stranger.
type injector struct {
	*UDPCanary
	strangers []net.PacketConn

	mu  sync.Mutex
	own []echo.Nonce // those of its own control
}

func newInjector(ip netip.Addr) (*injector, error) {
	c := &injector{}
	for _, from := range slices.Compact([]netip.Addr{ip, netip.AddrFrom4([4]byte{127, 0, 0, 1})}) {
		conn, err := net.ListenPacket("udp4", netip.AddrPortFrom(from, 0).String())
		if err != nil {
			_ = c.Close()
			return nil, err
		}
		c.strangers = append(c.strangers, conn)
	}
	conn, err := net.ListenPacket("udp4", netip.AddrPortFrom(ip, 0).String())
	if err != nil {
		_ = c.Close()
		return nil, err
	}
	at := conn.LocalAddr().(*net.UDPAddr).AddrPort() // what ListenPacket gives for udp
	c.UDPCanary = &UDPCanary{name: "host " + at.Addr().String() + " udp, whose strangers answer", addr: at, conn: newEarshot(conn), answer: c.inject}
	c.begin()
	return c, nil
}

// inject sends the proof by every stranger, and answers nothing.
func (c *injector) inject(v *visit, m message, _ []byte) []byte {
	to, err := netip.ParseAddrPort(v.Peer)
	if err != nil || m.nonce == "" {
		return nil
	}
	for _, s := range c.strangers {
		_, _ = s.WriteTo(echo.Line(echo.NewReply(c.secret, c.name, m.nonce, v.Peer, s.LocalAddr().String())), net.UDPAddrFromAddrPort(to))
	}
	return nil
}

// target is the injector as a probe sends to it. That a datagram of the guest's arrived is as it should be, and is in no log.
func (c *injector) target() Target {
	return Target{Name: c.name, Addr: c.addr, Secret: c.secret, Alive: c.Alive, Sightings: c.Sightings}
}

// Alive sends from a socket that takes everything, and waits for what a stranger sends there.
func (c *injector) Alive(ctx context.Context) error {
	conn, err := net.ListenPacket("udp4", netip.AddrPortFrom(c.addr.Addr(), 0).String())
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	ctx, cancel := context.WithTimeout(ctx, aliveLimit)
	defer cancel()
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	n := echo.NewNonce()
	c.mu.Lock()
	c.own = append(c.own, n)
	c.mu.Unlock()
	if _, err := conn.WriteTo(echo.Datagram(n), net.UDPAddrFromAddrPort(c.addr)); err != nil {
		return err
	}
	buf := make([]byte, echo.MaxReply)
	size, from, err := conn.ReadFrom(buf)
	if err != nil {
		return fmt.Errorf("what was sent from another socket did not arrive: %w", err)
	}
	if from.String() == c.addr.String() || !proves(c.secret, n, buf[:size]) {
		return fmt.Errorf("%s sent something else: %w", from, echo.ErrForeign)
	}
	return nil
}

// Sightings are those of its own control.
func (c *injector) Sightings(ctx context.Context) ([]echo.Sighting, error) {
	all, err := c.UDPCanary.Sightings(ctx)
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.DeleteFunc(all, func(s echo.Sighting) bool { return !slices.Contains(c.own, s.Nonce) }), err
}

// Close takes the canary and its strangers down.
func (c *injector) Close() error {
	for _, s := range c.strangers {
		_ = s.Close()
	}
	if c.UDPCanary == nil {
		return nil
	}
	return c.UDPCanary.Close()
}
