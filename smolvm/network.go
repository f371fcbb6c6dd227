package smolvm

import (
	"fmt"
	"net/netip"
	"regexp"
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
	// Enabled gives the guest a network. Without a policy it is unrestricted.
	Enabled bool
	// AllowCIDRs, if not empty, is the egress policy: the only destinations let through, every port and protocol of them. It implies
	// Enabled. Host bits must be zero, since smolvm would keep them.
	AllowCIDRs []netip.Prefix
	// AllowHosts are names, without a port, that are let through at the addresses they resolve to: at Create, where a name that does not
	// is an error, and again at Start, where it is not. On virtio-net other names do not resolve then. It is a policy like AllowCIDRs.
	AllowHosts []string
	// DenyAll is the policy that lets nothing through: an allowlist that is there and empty. smolvm's command line cannot say that, its API
	// can, so Create goes by that, which takes neither an image but a pack nor labels and init commands. Not together with what lets
	// something through.
	DenyAll bool
	// LoopbackOnly lets 127.0.0.0/8 and ::1 through, and what the two above name. It is a policy by itself.
	LoopbackOnly bool
	// Backend forces a backend. A policy needs none named, and in most releases suffers only one.
	Backend Backend
}

// restricted reports whether there is a policy.
func (n Network) restricted() bool {
	return n.opened() || n.DenyAll
}

// opened reports whether a policy lets something through.
func (n Network) opened() bool {
	return len(n.AllowCIDRs) > 0 || len(n.AllowHosts) > 0 || n.LoopbackOnly
}

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
	switch {
	case n.DenyAll && n.opened():
		return fmt.Errorf("%w: a policy that denies all, and lets %s through", ErrInvalid, Network{AllowCIDRs: n.AllowCIDRs, AllowHosts: n.AllowHosts, LoopbackOnly: n.LoopbackOnly})
	case n.AllowCIDRs != nil && !n.restricted():
		return fmt.Errorf("%w: an allowlist without an entry would be no policy on smolvm's command line, and open everything: name one, or say DenyAll", ErrInvalid)
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
	for _, h := range n.AllowHosts {
		if len(h) > 253 || !hostName.MatchString(h) {
			return fmt.Errorf("%w: allowed host %q: want a name such as \"api.example.com\", without scheme and port", ErrInvalid, h)
		}
	}
	return nil
}

var hostName = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9_-]{0,62}\.?)*$`)

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

// checkPorts refuses ports that release v would refuse at the start only.
func (n Network) checkPorts(v Version, ports bool) error {
	backend := n.carrier(v, ports)
	if !ports || (backend == VirtioNet) == v.has(portsNeedVirtio) {
		return nil
	}
	return fmt.Errorf("%w: smolvm %s publishes no ports on the %s backend", ErrUnsupported, v, backend)
}
