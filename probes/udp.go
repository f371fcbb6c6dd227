package probes

import (
	"net/netip"

	"bottle.internal/probes/agent"
)

const (
	udpControl = "A datagram canary of this run is bound to exactly that address of the host and asked there before and after; the allowed destination " +
		"echoes a nonce before and after in the same batch; the canary never sees a nonce of the probe; the twin, if there is one, reaches it. What " +
		"the guest hears back plays no part: a datagram that only leaves is a leak."
	udpWhy = "A datagram that leaves needs no answer to carry data out, and a wall that was built for connections may not look at it."
)

// udpProbes are the probes of family net.udp.
var udpProbes = []Probe{
	{
		ID: "net.udp.canary.v4", Family: "net.udp", Severity: Critical, Expect: Contain,
		What: "Send a datagram to a canary on every address of the host.", Why: udpWhy, Control: udpControl, Remedy: policyRemedy,
		Source: "netassert run_udp.go; libkrun 98163265 muxer.rs TSI_SENDTO_ADDR", Where: everywhere,
		aims: func(r *rig) ([]aim, absence) { return r.udpHost(isAny4, 0, nil) },
	},
	{
		ID: "net.udp.loopback.v4", Family: "net.udp", Severity: Critical, Expect: Contain,
		What:    "Send a datagram to a canary on the host's 127.0.0.1, in every spelling this sandbox could have for it, without a connect.",
		Why:     "Resolvers, QUIC servers and game and media servers listen there. A connected datagram socket stays in a tsi guest and shows nothing: this one asks the host.",
		Control: udpControl, Remedy: policyRemedy, Source: "libkrunfw 516ceece af_tsi.c (sendto without a local listener)", Where: loopbackWhere,
		aims: func(r *rig) ([]aim, absence) { return r.udpLoopback(agent.UDP4) },
	},
	{
		ID: "net.udp.loopback.v6", Family: "net.udp", Severity: Critical, Expect: Contain,
		What: "Send a datagram to a canary on the host's ::1, in every spelling this sandbox could have for it.", Why: udpWhy,
		Control: udpControl, Remedy: policyRemedy, Source: "libkrun#659", Where: loopbackWhere,
		aims: func(r *rig) ([]aim, absence) { return r.udpLoopback(agent.UDP6) },
	},
	{
		ID: "net.udp.public.v4", Family: "net.udp", Severity: Critical, Expect: Contain,
		What: "Send datagrams to public addresses.", Why: udpWhy, Control: worldControl, Remedy: policyRemedy,
		Source: "netassert; sandy QUIC fail-closed", Where: worldWhere,
		aims: func(r *rig) ([]aim, absence) { return r.worldAims(overUDP, "8.8.8.8:4433", "9.9.9.9:123") },
	},
	{
		ID: "net.udp.resolver.other-port", Family: "net.udp", Severity: High, Expect: Contain,
		What: "Send a datagram to 1.1.1.1 on a port that is not DNS's.", Why: "As net.tcp.resolver.other-port, without a connection.",
		Control: worldControl, Remedy: "As net.tcp.resolver.other-port.", Source: "smolvm v0.8.0 ensure_dns_in_cidrs", Where: worldWhere,
		aims: func(r *rig) ([]aim, absence) { return r.worldAims(overUDP, "1.1.1.1:4433") },
	},
	{
		ID: "net.udp.metadata.v4", Family: "net.udp", Severity: High, Expect: Contain,
		What: "Send a datagram to 169.254.169.254.", Why: "Link-local addresses are a cloud's own: its time, its names, its metadata.",
		Control: worldControl, Remedy: policyRemedy, Source: "smolvm#389", Where: worldWhere,
		aims: func(r *rig) ([]aim, absence) { return r.worldAims(overUDP, "169.254.169.254:123") },
	},
	{
		ID: "net.udp.quic", Family: "net.udp", Severity: High, Expect: Contain,
		What: "Send a QUIC Initial to a canary on UDP port 443 of the host.", Why: "HTTP/3 is a way out that a filter of TCP does not see.",
		Control: udpControl, Remedy: policyRemedy, Source: "sandy QUIC fail-closed", Where: "Where UDP port 443 of an address of this host is free.",
		aims: func(r *rig) ([]aim, absence) {
			return r.udpHost(isAny4, 443, func(a *aim) { a.send = sendQUIC })
		},
	},
	{
		ID: "net.udp.allowed-ip.any-port", Family: "net.udp", Severity: High, Expect: Contain,
		What: "Send a datagram to a canary of the host's at the allowed address.", Why: "smolvm filters by address only: the allowed address takes datagrams on every port.",
		Control: udpControl, Remedy: "As net.tcp.allowed-ip.other-port.", Source: "smolvm udp_relay.rs", Where: "Where the allowed address is this host's, as in topology alias.",
		aims: (*rig).udpOtherPort,
	},
	udpTrick("net.udp.connected.v4", High, agent.Connected, "on a connected socket", "A wall at sendto is not asked for a send.", "libkrun 98163265 tsi_dgram.rs"),
	udpTrick("net.udp.family-zero", High, agent.FamilyZero, "with an address of family 0, which Linux takes for IPv4",
		"A wall that reads the family sees none of its own.", "Linux net/ipv4/udp.c; libkrun 98163265 packet.rs (refuses family 0)"),
	udpTrick("net.udp.misdelivery", Medium, agent.SameSocket, "on a socket that sent to the allowed destination before",
		"tsi keeps the previous address when one is denied, and the payload goes there; what matters here is that it goes nowhere else.", "libkrun 98163265 tsi_dgram.rs"),
	udpTrick("net.udp.batched", High, agent.Batched, "in one sendmmsg with one to the allowed destination",
		"A wall that looks at the first message of a batch has looked at the first.", "tsi-and-virtio-net, io_uring and sendmmsg mixing"),
	udpTrick("net.udp.own-netns", Medium, agent.OwnNetNS, "from a fresh network namespace in the guest", "As net.tcp.own-netns.", "smolvm#785"),
	{
		ID: "net.udp.ntp", Family: "net.udp", Severity: Medium, Expect: Contain,
		What: "Send a datagram to the time port of a canary on the host.", Why: "Time is a port that walls forget.", Control: udpControl, Remedy: policyRemedy,
		Source: "sandbox-probe#55", Where: "Where UDP port 123 of an address of this host is free.",
		aims: func(r *rig) ([]aim, absence) { return r.udpHost(isAny4, 123, nil) },
	},
}

func udpTrick(id string, s Severity, m agent.Method, how, why, source string) Probe {
	return Probe{
		ID: id, Family: "net.udp", Severity: s, Expect: Contain,
		What: "Send a datagram to a canary on the host " + how + ".", Why: why, Control: udpControl, Remedy: evasionRemedy, Source: source, Where: evasionWhere,
		aims: func(r *rig) ([]aim, absence) {
			all, none := r.udpHost(isAny4, 0, func(a *aim) { a.method, a.also = m, r.site.Allowed.Addr })
			return all[:min(1, len(all))], none
		},
	}
}

func overUDP(a *aim) {
	a.network = agent.UDP4
	if a.addr.Addr().Is6() {
		a.network = agent.UDP6
	}
}

// udpHost aims at datagram canaries on addresses of the host.
func (r *rig) udpHost(f filter, port uint16, shape func(*aim)) ([]aim, absence) {
	hosts := r.hosts(f)
	if len(hosts) == 0 {
		return nil, absence{why: "this host has no such address beside its loopback and the allowed one"}
	}
	tried, besides := some(hosts, maxHosts)
	var aims []aim
	var taken []string
	for _, h := range tried {
		a := r.hostAim(netip.AddrPortFrom(h.Addr, port), func(a *aim) {
			overUDP(a)
			if shape != nil {
				shape(a)
			}
		})
		if a.absent != "" && port != 0 { // somebody else has that port, as a time server has 123
			taken = append(taken, a.absent)
			continue
		}
		aims = append(aims, a)
	}
	if len(taken) > 0 && besides == "" {
		besides = "no canary could be had everywhere: " + enumerated(taken)
	}
	if len(aims) == 0 {
		return nil, absence{why: besides, unproven: true}
	}
	return aims, absence{besides: besides}
}

// udpLoopback aims at a datagram canary on the host's loopback in every spelling that leaves the guest.
func (r *rig) udpLoopback(network agent.Network) ([]aim, absence) {
	host := netip.AddrFrom4([4]byte{127, 0, 0, 1})
	if network == agent.UDP6 {
		host = netip.IPv6Loopback()
	}
	var aims []aim
	for _, s := range r.site.hostLoopback() {
		if s.Is4() != host.Is4() || r.site.Backend == VirtioNet && s.IsLoopback() {
			continue
		}
		a := r.hostAim(netip.AddrPortFrom(host, 0), overUDP)
		if a.gone {
			return nil, absence{why: "the host has no " + host.String() + ": " + a.absent}
		}
		a.addr = netip.AddrPortFrom(s, a.addr.Port())
		aims = append(aims, a)
	}
	if len(aims) == 0 {
		return nil, absence{why: "no spelling of the host's " + host.String() + " leaves this guest"}
	}
	return aims, absence{}
}

func (r *rig) udpOtherPort() ([]aim, absence) {
	ip := r.site.Allowed.Addr.Addr()
	if !ip.IsValid() {
		return nil, absence{why: "the site names no allowed destination", unproven: true}
	}
	if !isHostAddr(ip) && !ip.IsLoopback() {
		return nil, absence{why: ip.String() + " is no address of this host, and the bundle has no datagram canary"}
	}
	a, err := r.bound(ip, overUDP)
	if err != nil {
		return nil, absence{why: err.Error(), unproven: true}
	}
	return []aim{a}, absence{}
}
