package bundle

import (
	"context"
	"fmt"
	"iter"
	"math/rand/v2"
	"net"
	"net/netip"
	"strings"

	"github.com/moby/moby/client"
)

const (
	// maxTries bounds how often the engine is asked for a subnet.
	maxTries = 16
	// subnetBits is the size of a bottle's network.
	subnetBits = 24
)

// A picker chooses a subnet.
type picker struct {
	candidates iter.Seq[netip.Prefix]
	occupied   func() ([]occupied, error) // what the host itself uses
}

// An occupied prefix is one the host has a use for.
type occupied struct {
	prefix netip.Prefix
	by     string
}

// pick tries the candidates in turn. The engine compares a subnet with its own networks only, so the host's are compared
// here: a /24 that an interface or a VPN has would get a second route, and the bottle would shadow it.
func (p picker) pick(create func(netip.Prefix) error) (netip.Prefix, error) {
	taken, err := p.occupied()
	if err != nil {
		return netip.Prefix{}, fmt.Errorf("reading the host's networks: %w", err)
	}
	var refused []string
	tries := 0
	for c := range p.candidates {
		if o, hit := intersects(c, taken); hit {
			refused = append(refused, fmt.Sprintf("%s (host: %s on %s)", c, o.prefix, o.by))
			continue
		}
		tries++
		err := create(c)
		if err == nil {
			return c, nil
		}
		if !isOverlap(err) {
			return netip.Prefix{}, err
		}
		refused = append(refused, fmt.Sprintf("%s (engine: in use)", c))
		if tries == maxTries {
			break
		}
	}
	return netip.Prefix{}, fmt.Errorf("%w: %s", ErrSubnetTaken, abridged(refused, 2*maxTries))
}

func abridged(list []string, limit int) string {
	if len(list) <= limit {
		return strings.Join(list, ", ")
	}
	return strings.Join(list[:limit], ", ") + fmt.Sprintf(" and %d more", len(list)-limit)
}

func intersects(c netip.Prefix, taken []occupied) (occupied, bool) {
	for _, o := range taken {
		if o.prefix.Overlaps(c) {
			return o, true
		}
	}
	return occupied{}, false
}

// isOverlap tells a subnet in use from other refusals. The engine says it with 403, as it does for much else, and its bridge
// driver with 409 when two creations race, so the text decides.
func isOverlap(err error) bool {
	s := err.Error()
	return strings.Contains(s, "Pool overlaps with other one") || strings.Contains(s, "networks have overlapping IPv4")
}

// randomSubnets yields every /24 of pool once, in random order.
func randomSubnets(pool netip.Prefix) (iter.Seq[netip.Prefix], error) {
	if !pool.Addr().Is4() || pool.Bits() < 8 || pool.Bits() > 29 {
		return nil, fmt.Errorf("subnet pool %s: an IPv4 prefix from /8 to /29 is needed", pool)
	}
	return func(yield func(netip.Prefix) bool) {
		if pool.Bits() >= subnetBits {
			yield(pool.Masked())
			return
		}
		for _, i := range rand.Perm(1 << (subnetBits - pool.Bits())) {
			if !yield(netip.PrefixFrom(hostOf(pool, i<<(32-subnetBits)), subnetBits)) {
				return
			}
		}
	}, nil
}

// hostPrefixes are the networks of this machine's interfaces and its routes, but for the default route.
func hostPrefixes() ([]occupied, error) {
	ifaces, err := net.Interfaces()
	if err != nil {
		return nil, err
	}
	var out []occupied
	for _, i := range ifaces {
		addrs, err := i.Addrs()
		if err != nil {
			continue // gone since: a bridge of another bottle
		}
		for _, a := range addrs {
			if p, err := netip.ParsePrefix(a.String()); err == nil && p.Addr().Is4() {
				out = append(out, occupied{p.Masked(), i.Name})
			}
		}
	}
	routes, err := hostRoutes()
	return append(out, routes...), err
}

// everyPrefix is hostPrefixes and the subnets of the engine's networks, which are somewhere else's where the engine is.
func everyPrefix(ctx context.Context, cli *client.Client) ([]occupied, error) {
	all, err := hostPrefixes()
	if err != nil {
		return nil, err
	}
	networks, err := cli.NetworkList(ctx, client.NetworkListOptions{})
	if err != nil {
		return nil, err
	}
	for _, n := range networks.Items {
		for _, c := range n.IPAM.Config {
			if c.Subnet.IsValid() {
				all = append(all, occupied{c.Subnet.Masked(), "network " + n.Name})
			}
		}
	}
	return all, nil
}
