package smolvm

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
)

// Knowledge says how something is known of a machine's policy.
type Knowledge string

// The kinds of knowledge. Only a probe from inside the guest says anything about enforcement.
const (
	// KnownFlag: this Client passed the policy to smolvm, which took it and cannot be asked for it.
	KnownFlag Knowledge = "flag"
	// KnownAPI: smolvm's HTTP API answered with a record that holds the policy.
	KnownAPI Knowledge = "api"
	// KnownProbe: somebody tried from inside. This package does not; bottletest says so of a bottle whose launch gate passed.
	KnownProbe Knowledge = "probe"
	// Unknown: the machine was not created by this Client, or was changed since by something else.
	Unknown Knowledge = "unknown"
)

// A Floor is what smolvm denies whatever the policy allows.
type Floor string

// The floors, from none to most.
const (
	FloorNone     Floor = "off"
	FloorMetadata Floor = "metadata" // link-local addresses: the cloud's metadata service
	FloorStrict   Floor = "strict"   // private, loopback and shared addresses too
	FloorUnknown  Floor = "unknown"
)

// A Policy is what is known of what a machine may reach. It is a statement about what was asked for and about the release's source, never
// about enforcement: v0.8.0 dropped policies without a word, and upstream calls TSI's filter not enforced (#427).
type Policy struct {
	// How says where Network is from; the rest is from Release's source. With Unknown the Network is zero and means nothing.
	How Knowledge
	// Network is what was asked for.
	Network Network
	// Backend is the one that carries the network when none is forced; "" if unknown, or without a network.
	Backend Backend
	// Floor is the one that Start asks for, without a StartOptions.PublishAddr.
	Floor Floor
	// Besides is what this release lets through that the policy does not name, in words for people, each with its source. Empty when there
	// is no policy to speak of.
	Besides []string
	// Release is the one all this is about.
	Release Version
}

// EffectivePolicy tells what is known of the machine's egress policy, and how. It starts no process but the one that tells the version,
// once, and does not look at the machine.
func (c *Client) EffectivePolicy(ctx context.Context, name string) (Policy, error) {
	if err := checkName(name); err != nil {
		return Policy{}, err
	}
	v, err := c.release(ctx)
	if err != nil {
		return Policy{}, err
	}
	m := c.known(name)
	if !m.made || m.how == Unknown {
		return Policy{How: Unknown, Floor: FloorUnknown, Release: v}, nil
	}
	return effective(v, m), nil
}

// effective is what release v makes of what m was created with.
func effective(v Version, m memory) Policy {
	p := Policy{How: m.how, Network: m.network, Floor: FloorNone, Release: v}
	if !m.network.on() {
		return p
	}
	p.Backend = m.network.carrier(v, m.ports)
	p.Floor = floorOf(v, p.Backend, m.network.restricted())
	if m.network.restricted() {
		p.Besides = besides(v, p.Backend, m.network)
	}
	return p
}

// carrier is the backend of a guest with network n in release v (v1.9.3 network/launch.rs, and its like in older ones).
func (n Network) carrier(v Version, ports bool) Backend {
	switch {
	case n.Backend != "":
		return n.Backend
	case ports && v.has(publishAddr):
		return VirtioNet
	case n.restricted():
		return v.PolicyBackend()
	}
	return TSI
}

// floorOf is the floor that a start by this client gives.
func floorOf(v Version, b Backend, restricted bool) Floor {
	switch {
	case b == TSI && !v.has(tsiFloor), !v.has(publishAddr):
		return FloorNone
	case v.has(privateFloor) && restricted:
		return FloorNone // opened by SMOLVM_EGRESS_ALLOW_PRIVATE
	case v.has(privateFloor):
		return FloorStrict
	}
	return FloorMetadata
}

// besides is what a policy lets through in release v that it does not name.
func besides(v Version, b Backend, n Network) []string {
	if b == VirtioNet {
		return besidesVirtio(v, n)
	}
	var out []string
	switch {
	case n.loopbackAlone():
	case v.has(resolverOfHost):
		out = append(out, "the host's resolver, or 1.1.1.1 if it has none but on its loopback, on every port (v0.8.1 data/network.rs)")
	case !n.covers(netip.MustParseAddr("1.1.1.1")):
		out = append(out, "1.1.1.1, on every port (v0.8.0 ensure_dns_in_cidrs)")
	}
	return append(out, "whatever the shipped libkrun does not filter: a destination that was not allowed was seen to be reachable (#427)")
}

func besidesVirtio(v Version, n Network) []string {
	out := []string{"names: the gateway's resolver answers for all of them, so that data can leave in queries (v1.9.3 classify_dns_query)"}
	if len(n.AllowHosts) > 0 {
		out = []string{"queries to the gateway's resolver for the allowed names (v1.9.3 classify_dns_query)"}
	}
	if v.has(gatewayIsHost) && n.covers(netip.MustParseAddr("100.96.0.1")) {
		out = append(out, "the host's loopback, at the gateway's address that the policy allows (#784)")
	}
	return out
}

// loopbackAlone reports whether n allows loopback addresses only; such a policy gets no resolver added. An empty list gets one: it is not
// made of loopback addresses (v0.8.0 ensure_dns_in_cidrs).
func (n Network) loopbackAlone() bool {
	if n.DenyAll {
		return false
	}
	for _, p := range n.AllowCIDRs {
		if !p.Addr().IsLoopback() {
			return false
		}
	}
	return len(n.AllowHosts) == 0
}

func (n Network) covers(a netip.Addr) bool {
	for _, p := range n.AllowCIDRs {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

// String is the policy in one line: what was asked for, how that is known, and what else gets through. It never says that it holds.
func (p Policy) String() string {
	if p.How == Unknown || p.How == "" {
		return "policy unknown"
	}
	s := fmt.Sprintf("%s (known by %s), smolvm %s", p.Network, p.How, p.Release)
	if p.Backend != "" {
		s += fmt.Sprintf(", %s, floor %s", p.Backend, p.Floor)
	}
	if len(p.Besides) > 0 {
		s += "; besides: " + strings.Join(p.Besides, "; ")
	}
	return s
}

// String is "no network", "any destination", "no destination", or "only" and what is allowed.
func (n Network) String() string {
	switch {
	case !n.on():
		return "no network"
	case !n.restricted():
		return "any destination"
	case n.DenyAll:
		return "no destination"
	}
	var allowed []string
	for _, p := range n.AllowCIDRs {
		allowed = append(allowed, p.String())
	}
	allowed = append(allowed, n.AllowHosts...)
	if n.LoopbackOnly {
		allowed = append(allowed, "loopback")
	}
	return "only " + strings.Join(allowed, ", ")
}
