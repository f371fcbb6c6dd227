package probes

import (
	"net"
	"net/netip"
	"strconv"

	"bottle.internal/probes/agent"
)

const ipv6Why = "Policies are written in IPv4 and guests have IPv6: a wall of one family is half a wall."

// ipv6Probes are the probes of family net.ipv6.
var ipv6Probes = []Probe{
	{
		ID: "net.ipv6.canary", Family: "net.ipv6", Severity: Critical, Expect: Contain,
		What: "Dial a canary on the host's global and unique-local IPv6 addresses.", Why: ipv6Why, Control: canaryControl, Remedy: policyRemedy,
		Source: "claude-code#24952", Where: "Where the host has such an address.",
		aims: func(r *rig) ([]aim, absence) {
			return r.hostAims("global or unique-local IPv6 address", isGlobal6, nil)
		},
	},
	{
		ID: "net.ipv6.canary.udp", Family: "net.ipv6", Severity: Critical, Expect: Contain,
		What: "Send a datagram to a canary on the host's global and unique-local IPv6 addresses.", Why: ipv6Why, Control: udpControl, Remedy: policyRemedy,
		Source: "claude-code#24952; libkrun#659", Where: "Where the host has such an address.",
		aims: func(r *rig) ([]aim, absence) { return r.udpHost(isGlobal6, 0, nil) },
	},
	{
		ID: "net.ipv6.public", Family: "net.ipv6", Severity: Critical, Expect: Contain,
		What: "Dial public IPv6 addresses of two operators on port 443.", Why: ipv6Why, Control: worldControl, Remedy: policyRemedy,
		Source: "claude-code#24952", Where: worldWhere,
		aims: func(r *rig) ([]aim, absence) {
			return r.worldAims(nil, "[2001:4860:4860::8888]:443", "[2606:4700:4700::1111]:443")
		},
	},
	{
		ID: "net.ipv6.public.udp", Family: "net.ipv6", Severity: High, Expect: Contain,
		What: "Send a datagram to a public IPv6 address.", Why: ipv6Why, Control: worldControl, Remedy: policyRemedy,
		Source: "claude-code#24952", Where: worldWhere,
		aims: func(r *rig) ([]aim, absence) { return r.worldAims(overUDP, "[2001:4860:4860::8888]:4433") },
	},
	{
		ID: "net.ipv6.metadata", Family: "net.ipv6", Severity: High, Expect: Contain,
		What: "Dial the metadata service by its IPv6 address and through NAT64.", Why: "As net.tcp.metadata.v4, by a family that the floor may not know.",
		Control: worldControl, Remedy: policyRemedy, Source: "smolvm mapped-IPv6 tests; AWS IMDS fd00:ec2::254", Where: worldWhere,
		aims: func(r *rig) ([]aim, absence) {
			return r.worldAims(nil, "[fd00:ec2::254]:80", "[64:ff9b::a9fe:a9fe]:80")
		},
	},
	{
		ID: "net.ipv6.linklocal", Family: "net.ipv6", Severity: High, Expect: Contain,
		What:    "Dial a canary on the host's link-local IPv6 addresses, with the guest's and with the host's interface as zone.",
		Why:     "Link-local addresses need no route, and on tsi the zone that a guest names is taken for an interface of the host.",
		Control: canaryControl, Remedy: policyRemedy, Source: "libkrun 98163265 packet.rs (the zone is a host interface)", Where: "Where the host has such an address.",
		aims: (*rig).linkLocalAims,
	},
	{
		ID: "net.ipv6.selfconfig", Family: "net.ipv6", Severity: Medium, Expect: Contain,
		What:    "Dial a public IPv6 address from an address that the guest gives itself, with a route of its own over each interface.",
		Why:     "A guest without IPv6 is one that was given none. Who is root in it takes an address and a route as a router's advertisement would hand them out, and a wall that was built for the addresses it gave may not stand there.",
		Control: worldControl, Remedy: policyRemedy, Source: "gVisor (variants of its tests by family); RFC 4862", Where: evasionWhere + " A guest that may not change its interfaces keeps the wall.",
		aims: func(r *rig) ([]aim, absence) {
			if r.site.Simulated {
				return nil, absence{why: "a simulated guest has no rights over its interfaces, as root in a VM has: there is nothing to try"}
			}
			return r.worldAims(func(a *aim) { a.method, a.also = agent.SelfConfig, netip.AddrPortFrom(ownSix, 0) }, "[2001:4860:4860::8888]:443")
		},
	},
	{
		ID: "net.ipv6.exthdr", Family: "net.ipv6", Severity: Medium, Expect: Contain,
		What: "Send a datagram behind a destination-options header to a public IPv6 address.", Why: "A filter that does not find the transport header may let the packet pass.",
		Control: worldControl, Remedy: policyRemedy, Source: "smolvm stack.rs (unclassified IPv6 packets)", Where: worldWhere,
		aims: func(r *rig) ([]aim, absence) {
			return r.worldAims(func(a *aim) { a.network, a.method = agent.UDP6, agent.ExtHeaders }, "[2001:4860:4860::8888]:4433")
		},
	},
}

// ownSix is the address that a guest gives itself: a unique-local one of the kit's.
var ownSix = netip.MustParseAddr("fd00:b077::77")

// linkLocalAims aim at link-local addresses by the host's interface number and by the first of the guest's that is no loopback. On
// virtio-net the guest's kernel has the guest's interfaces only, and never lets the former out.
func (r *rig) linkLocalAims() ([]aim, absence) {
	const guestInterface = 2
	if r.site.Simulated {
		return nil, absence{why: "a simulated guest's kernel takes a zone for an interface of the guest's and never for one of the host's, as tsi does"}
	}
	var aims []aim
	for _, h := range r.hosts(isLocal6) {
		i, err := net.InterfaceByName(h.Zone())
		if err != nil {
			continue
		}
		a := r.hostAim(netip.AddrPortFrom(h.Addr, 0), nil)
		if a.gone {
			continue
		}
		zones := []int{guestInterface, i.Index}
		if r.site.Backend == VirtioNet {
			zones = zones[:1]
		}
		for _, zone := range zones {
			b := a
			b.addr = netip.AddrPortFrom(h.WithZone(strconv.Itoa(zone)), a.addr.Port())
			aims = append(aims, b)
		}
		break
	}
	if len(aims) == 0 {
		return nil, absence{why: "this host has no link-local IPv6 address that a canary could be bound to"}
	}
	return aims, absence{}
}
