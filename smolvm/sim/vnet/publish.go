//go:build linux

package vnet

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// acceptRetry is the pause after an accept that failed for want of something.
const acceptRetry = 50 * time.Millisecond

// published are the host's listeners for ports of the guest's. They are bound at
// addresses of this host's only: the kernel refuses any other. Safe for
// concurrent use.
type published struct {
	n *Network
	// hostPort is by the guest's; on tsi the last of two wins, as in libkrun's map.
	hostPort map[uint16]uint16

	mu sync.Mutex
	// taken are the guest's listeners that were looked at (tsi). A nil value is one
	// that the host could not take, and that stays inside for as long as it lives.
	taken map[guestSocket][]net.Listener
}

func newPublished(n *Network) *published {
	p := &published{n: n, hostPort: make(map[uint16]uint16), taken: make(map[guestSocket][]net.Listener)}
	for _, port := range n.cfg.Publish {
		p.hostPort[port.Guest] = port.Host
	}
	return p
}

func (p *published) none() bool {
	return p == nil || len(p.hostPort) == 0 && !p.n.cfg.PublishUnasked
}

// listenAll publishes every port at once (virtio-net). The IPv6 loopback alone
// may be missing (smolvm v1.9.3 tcp_listeners.rs).
func (p *published) listenAll() error {
	at, asked := p.n.cfg.PublishAt, true
	if len(at) == 0 {
		at, asked = []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, 1}), netip.IPv6Loopback()}, false
	}
	for _, port := range p.n.cfg.Publish {
		for _, a := range at {
			l, err := listen(netip.AddrPortFrom(a, port.Host), false)
			if err != nil && a.Is6() && !asked {
				continue
			}
			if err != nil {
				return fmt.Errorf("vnet: publish port %d: %w", port.Host, err)
			}
			p.serve(l, netip.AddrPortFrom(guestV4, port.Guest))
		}
	}
	return nil
}

// follow takes the guest's listeners on published ports over and lets go of what
// has gone (tsi). It returns those that are the guest's own affair.
func (p *published) follow(listening []guestSocket) (inside []guestSocket) {
	if p.none() {
		return listening
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	still := make(map[guestSocket]bool, len(listening))
	for _, g := range listening {
		still[g] = true
		if !p.take(g) {
			inside = append(inside, g)
		}
	}
	for g, ls := range p.taken {
		if still[g] {
			continue
		}
		for _, l := range ls {
			l.Close()
		}
		delete(p.taken, g)
	}
	return inside
}

// take reports whether g is the host's, trying once to make it so. A bind that
// fails leaves the listener inside the guest (libkrunfw af_tsi.c). p.mu is held.
func (p *published) take(g guestSocket) bool {
	port, mapped := p.hostPort[g.local.Port()]
	if !mapped && p.n.cfg.PublishUnasked {
		port, mapped = g.local.Port(), true
	}
	if !mapped {
		return false
	}
	if ls, known := p.taken[g]; known {
		return ls != nil
	}
	p.taken[g] = nil
	at := p.n.cfg.PublishAt
	if len(at) == 0 {
		at = []netip.Addr{g.local.Addr().Unmap()}
	}
	for _, a := range at {
		l, err := listen(netip.AddrPortFrom(a, port), true)
		if err != nil {
			p.n.denied.logf("port %d of the guest's stays inside: %v", g.local.Port(), err)
			continue
		}
		p.taken[g] = append(p.taken[g], l)
		p.serve(l, g.inGuest())
	}
	return p.taken[g] != nil
}

// inGuest is where a connection to the listener is dialled, from outside of its
// kernel.
func (g guestSocket) inGuest() netip.AddrPort {
	a := g.local.Addr().Unmap()
	switch {
	case !a.IsUnspecified():
	case a.Is4():
		a = guestV4
	default:
		a = guestV6
	}
	return netip.AddrPortFrom(a, g.local.Port())
}

// listen binds a port of the host's. [::] takes IPv4 as well if shared, as a socket
// of libkrun's does, and shared sockets tolerate each other (SO_REUSEPORT: two
// machines can share a port in silence, libkrun#860).
func listen(at netip.AddrPort, shared bool) (net.Listener, error) {
	network, config := "tcp6", net.ListenConfig{KeepAlive: -1}
	switch {
	case at.Addr().Is4():
		network = "tcp4"
	case shared && at.Addr().IsUnspecified():
		network = "tcp"
	}
	if shared {
		config.Control = reusePort
	}
	return config.Listen(context.Background(), network, at.String())
}

func reusePort(_, _ string, c syscall.RawConn) error {
	var err error
	cerr := c.Control(func(fd uintptr) {
		err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, 1)
	})
	return errors.Join(cerr, err)
}

// serve carries what comes in on l to the guest's end, until l is closed.
func (p *published) serve(l net.Listener, to netip.AddrPort) {
	release := p.n.hold(l)
	p.n.work.Go(func() {
		defer release()
		for {
			host, err := l.Accept()
			switch {
			case err == nil:
				p.n.work.Go(func() { p.carry(host, to) })
			case errors.Is(err, net.ErrClosed):
				return
			default:
				p.n.pause(acceptRetry)
			}
		}
	})
}

// carry relays one connection of the host's to the guest. One that the guest
// refuses is reset: it was accepted before anybody asked, on both backends.
func (p *published) carry(host net.Conn, to netip.AddrPort) {
	select {
	case p.n.slots <- struct{}{}:
		defer func() { <-p.n.slots }()
	default:
		p.n.denied.logf("more than %d flows: reset a connection to port %d", maxFlows, to.Port())
		abort(host)
		return
	}
	guest, err := p.n.dialGuest(to)
	if err != nil {
		abort(host)
		return
	}
	p.n.relay(guest, host)
}

// pause waits for d, or for the network's end.
func (n *Network) pause(d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-n.ctx.Done():
	}
}
