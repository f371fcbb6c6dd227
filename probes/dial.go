package probes

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"

	"bottle.internal/internal/echo"
)

// DialID is the id of the one finding in the report of Dial.
const DialID = "dial"

// Dial makes one ad-hoc probe of target.Addr, expecting it to be reached or to stay out of reach, with all the controls of a
// run. A target with a Secret or Alive is taken as it is. For a bare address Dial looks for a canary: an address of this host,
// or a spelling of its loopback, gets one brought up on the port, or, where something listens there already, is dialled from
// the host to see that it is alive; for any other address the site's world stands in, if there is one. A loopback address is
// dialled in every spelling that the site has for it.
func Dial(ctx context.Context, site Site, opts Options, target Target, expect Expect) (Report, error) {
	if !target.Addr.IsValid() || target.Addr.Port() == 0 {
		return Report{}, fmt.Errorf("probes: dial %q: want an IP address and a port", target.Addr)
	}
	if expect != Contain && expect != Reach {
		return Report{}, fmt.Errorf("probes: dial %q: unknown expectation %q", target.Addr, expect)
	}
	r := newRig(site, opts.withDefaults())
	defer func() { _ = r.close() }()
	aims := r.dialAims(target)
	for i := range aims {
		aims[i].expect = expect
	}
	family := "net.tcp"
	if target.UDP {
		family = "net.udp"
		for i := range aims {
			overUDP(&aims[i])
		}
	}
	p := Probe{ID: DialID, Family: family, Severity: High, Expect: expect}
	return r.run(ctx, []item{{probe: p, asked: true, aims: aims}})
}

func (r *rig) dialAims(t Target) []aim {
	ip := t.Addr.Addr()
	if t.Name == "" {
		t.Name = t.Addr.String()
	}
	sharesAllowed := ip == r.site.Allowed.Addr.Addr()
	switch {
	case t.Secret != (echo.Secret{}) || t.Alive != nil:
		return []aim{{addr: t.Addr, wall: wallOf(sharesAllowed), post: &post{Target: t}}}
	case r.isHostLoopback(ip):
		return r.spell(t)
	case isHostAddr(ip):
		p, err := r.hostPost(t.Addr, t.UDP)
		a := r.aimAt(t.Addr, p, err)
		a.wall = wallOf(sharesAllowed)
		return []aim{a}
	case r.world != nil && !sharesAllowed:
		return []aim{{addr: t.Addr, wall: policyWall, post: r.world}}
	}
	return []aim{{addr: t.Addr, wall: wallOf(sharesAllowed), absent: "it is no address of this host, and nothing stands in for it"}}
}

func wallOf(sharesAllowed bool) wall {
	if sharesAllowed {
		return bindingWall
	}
	return policyWall
}

// spell aims at the host's loopback in every spelling of the target's family, with one listener behind all of them.
func (r *rig) spell(t Target) []aim {
	ip := t.Addr.Addr()
	host := netip.IPv6Loopback()
	if ip.Is4() {
		host = netip.AddrFrom4([4]byte{127, 0, 0, 1})
		if ip.IsLoopback() {
			host = ip // 127.0.0.53 is another listener than 127.0.0.1
		}
	}
	p, err := r.hostPost(netip.AddrPortFrom(host, t.Addr.Port()), t.UDP)
	aims := []aim{r.aimAt(t.Addr, p, err)}
	for _, s := range r.site.hostLoopback() {
		if s.Is4() == ip.Is4() && s != ip {
			aims = append(aims, r.aimAt(netip.AddrPortFrom(s, t.Addr.Port()), p, err))
		}
	}
	return aims
}

func (r *rig) isHostLoopback(ip netip.Addr) bool {
	if ip.IsLoopback() {
		return true
	}
	for _, s := range r.site.hostLoopback() {
		if s == ip {
			return true
		}
	}
	return false
}

// hostPost is a canary at addr, or, where something listens already, that something: alive if it takes a connection, but with
// neither a proof nor a log. Whether somebody else's listener for datagrams is alive nobody can tell.
func (r *rig) hostPost(addr netip.AddrPort, udp bool) (*post, error) {
	if udp {
		return r.udpCanary(addr)
	}
	p, err := r.canary(addr)
	if !errors.Is(err, syscall.EADDRINUSE) {
		return p, err
	}
	return &post{Target: Target{Name: "what listens at " + addr.String(), Addr: addr, Alive: func(ctx context.Context) error {
		conn, err := nearby().DialContext(ctx, "tcp", addr.String())
		if err != nil {
			return err
		}
		return conn.Close()
	}}}, nil
}

// isHostAddr reports whether an interface of this host has ip.
func isHostAddr(ip netip.Addr) bool {
	all, err := net.InterfaceAddrs()
	if err != nil {
		return false
	}
	for _, a := range all {
		if p, err := netip.ParsePrefix(a.String()); err == nil && p.Addr() == ip.WithZone("") {
			return true
		}
	}
	return false
}
