package smolvm

import (
	"fmt"
	"net/netip"
)

// A Backend is how smolvm carries the guest's network. "" leaves the choice to smolvm.
type Backend string

// The backends there are. They deny differently: TSI fails the connect with EACCES, VirtioNet answers with a reset.
const (
	TSI       Backend = "tsi"
	VirtioNet Backend = "virtio-net"
)

// PolicyBackend is the backend that an egress policy selects in release v when none is named.
func (v Version) PolicyBackend() Backend {
	if v.has(policyForcesVirtio) {
		return VirtioNet
	}
	return TSI
}

// A Network is what a machine may reach. The zero Network is none at all.
//
// smolvm has no way to read a machine's policy back. What AllowCIDRs lets through besides differs from release to release (1.1.1.1 in
// 0.8.0, the host's resolver up to 1.1.2), so a policy is to be probed from inside before it is trusted.
type Network struct {
	// Enabled gives the guest a network. Without AllowCIDRs it is unrestricted.
	Enabled bool
	// AllowCIDRs, if not empty, is the egress policy: the only destinations let through, every port and protocol of them. It implies
	// Enabled. Host bits must be zero, since smolvm would keep them.
	AllowCIDRs []netip.Prefix
	// Backend forces a backend. A policy needs none named, and in most releases suffers only one.
	Backend Backend
}

func (n Network) restricted() bool { return len(n.AllowCIDRs) > 0 }

// on reports whether the guest gets a network. --net is always written with a policy: in some releases, next to some other flags,
// --allow-cidr alone leaves the network off, and a guest without a network passes every test of isolation.
func (n Network) on() bool { return n.Enabled || n.restricted() }

// check refuses what is malformed, release or no release.
func (n Network) check() error {
	switch n.Backend {
	case "", TSI, VirtioNet:
	default:
		return fmt.Errorf("%w: network backend %q: want %q or %q", ErrInvalid, n.Backend, TSI, VirtioNet)
	}
	if n.Backend != "" && !n.on() {
		return fmt.Errorf("%w: network backend %q without a network", ErrInvalid, n.Backend)
	}
	for _, p := range n.AllowCIDRs {
		switch {
		case !p.IsValid():
			return fmt.Errorf("%w: allowed CIDR %q is not one", ErrInvalid, p)
		case p != p.Masked():
			return fmt.Errorf("%w: allowed CIDR %q has host bits set; %q is the network it lies in", ErrInvalid, p, p.Masked())
		case p.Addr().Is4In6():
			return fmt.Errorf("%w: allowed CIDR %q is IPv4 written as IPv6", ErrInvalid, p)
		}
	}
	return nil
}

// checkRelease refuses a policy that release v would not hold, or would refuse after it has begun.
func (n Network) checkRelease(v Version) error {
	switch {
	case !n.restricted():
		return nil
	case n.Backend == TSI && v.has(policyForcesVirtio):
		return fmt.Errorf("%w: smolvm %s takes none on the %s backend", ErrPolicy, v, n.Backend)
	case n.Backend == VirtioNet && !v.has(virtioEnforces):
		return fmt.Errorf("%w: smolvm %s takes none on the %s backend", ErrPolicy, v, n.Backend)
	}
	return nil
}
