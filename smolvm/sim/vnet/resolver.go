//go:build linux

package vnet

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"time"
)

// lookupTimeout bounds one question to whoever answers for the world.
const lookupTimeout = 5 * time.Second

// flowDNS is the network of a flow that carries DNS messages of the host's
// resolver, each behind its length in two bytes as in DNS over TCP.
const flowDNS = "dns"

// A Resolver looks names up as the host of a machine would, without asking
// anybody off this machine: names that this host knows itself are its own to
// answer, every other is a question to the world. Safe for concurrent use.
type Resolver struct {
	World   string // as in [Config]; with WorldNone only local names resolve
	Machine string // told to the world
}

// Lookup returns the addresses of host, at least one, IPv4 ones first. A literal
// is its own address.
func (r Resolver) Lookup(ctx context.Context, host string) ([]netip.Addr, error) {
	if a, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{a}, nil
	}
	if isLocalhost(host) {
		return []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, 1}), netip.IPv6Loopback()}, nil
	}
	if strings.Contains(host, ".") {
		host = strings.TrimSuffix(host, ".") + "." // no search list
	}
	ctx, cancel := context.WithTimeout(ctx, lookupTimeout)
	defer cancel()
	found, err := (&net.Resolver{PreferGo: true, Dial: r.dial}).LookupNetIP(ctx, "ip", host)
	if err != nil {
		return nil, fmt.Errorf("vnet: look up %s: %w", strings.TrimSuffix(host, "."), err)
	}
	var four, six []netip.Addr
	for _, a := range found {
		if a = a.Unmap(); a.Is4() {
			four = append(four, a)
		} else {
			six = append(six, a)
		}
	}
	return append(four, six...), nil
}

// isLocalhost reports whether name is localhost or below it (RFC 6761).
func isLocalhost(name string) bool {
	name = strings.ToLower(strings.TrimSuffix(name, "."))
	return name == "localhost" || strings.HasSuffix(name, ".localhost")
}

// hostResolver is where the host itself asks, in a flow's words.
var hostResolver = netip.MustParseAddrPort("127.0.0.1:53")

// dial stands in for dialling a name server at address. The Go resolver frames its
// questions on a stream just as the world wants them.
func (r Resolver) dial(ctx context.Context, network, address string) (net.Conn, error) {
	switch r.World {
	case WorldNone:
		return nil, errNoRoute
	case WorldOpen:
		return new(net.Dialer).DialContext(ctx, network, address)
	}
	d := dialer{cfg: Config{World: r.World, Machine: r.Machine}}
	conn, err := d.openWorld(ctx, flow{network: flowDNS, src: netip.AddrPortFrom(hostResolver.Addr(), 0), dst: hostResolver})
	if err != nil {
		return nil, err
	}
	return struct{ net.Conn }{conn}, nil // a unix socket could also take datagrams, and would be taken for UDP
}
