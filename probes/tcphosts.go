package probes

import (
	"net/netip"
	"slices"
)

// What rows of several families say alike.
const (
	canaryControl = "A canary of this run is bound to exactly that address of the host and dialled there before and after; the allowed destination " +
		"echoes a nonce before and after in the same batch; the canary never sees a nonce of the probe; the twin, if there is one, reaches it."
	worldControl = "A world stands in for the internet and is alive before and after; the allowed destination echoes a nonce before and after in the " +
		"same batch; the world never sees a nonce of the probe; the twin, if there is one, reaches it."
	policyRemedy = "Look at the policy in effect, not at the one asked for, and take what covers the address out of it."
	everywhere   = "Everywhere."
	worldWhere   = "Where a world stands in for the internet, as on the simulator; on a real engine with Online only."
	tsiWhere     = "On tsi, where a guest's loopback connect asks the host. On virtio-net the address is the guest's own: not applicable."
)

// tcpHostProbes dial the host and what is around it, other than its loopback.
var tcpHostProbes = []Probe{
	{
		ID: "net.tcp.canary.v4", Family: "net.tcp", Severity: Critical, Expect: Contain,
		What:    "Dial a canary on a routable address of the host that is not allowed.",
		Why:     "It is the plainest question there is: an address outside the allowlist. A guest that reaches it has no allowlist.",
		Control: canaryControl, Remedy: policyRemedy,
		Source: "kubernetes e2e netpol; smolvm#1212 (packs carried no policy)", Where: everywhere,
		aims: func(r *rig) ([]aim, absence) { return r.firstHost(nil) },
	},
	{
		ID: "net.tcp.lan.v4", Family: "net.tcp", Severity: Critical, Expect: Contain,
		What:    "Dial a canary on every address that the host has in its own networks.",
		Why:     "What listens on a LAN address trusts the LAN: printers, file shares, routers, the developer's other machines.",
		Control: canaryControl, Remedy: policyRemedy,
		Source: "smolvm#427 (a non-allowed address stayed reachable)", Where: everywhere,
		aims: func(r *rig) ([]aim, absence) {
			return r.hostAims("IPv4 address of a network of its own, the allowed one left out", isLAN, nil)
		},
	},
	{
		ID: "net.tcp.docker-bridge", Family: "net.tcp", Severity: Critical, Expect: Contain,
		What:    "Dial a canary on the host's end of every container bridge, the bundle's own network among them.",
		Why:     "A bridge's gateway is the host: everything that listens on all addresses answers there, and the bundle's own gateway is next to the allowed address.",
		Control: canaryControl, Remedy: policyRemedy + " A prefix wider than /32 for the bundle covers its gateway.",
		Source: "agents-sandbox#144", Where: "Where the host has such a bridge.",
		aims: func(r *rig) ([]aim, absence) {
			return r.hostAims("container bridge with an address", isBridge4, nil)
		},
	},
	{
		ID: "net.tcp.gateway-host.v4", Family: "net.tcp", Severity: Critical, Expect: Contain,
		What:    "Dial a canary on the host's loopback by the address of the guest's gateway.",
		Why:     "virtio-net maps the gateway's address to the host's loopback: a policy that covers 100.64/10, or private addresses as a whole, opens every local service of the host.",
		Control: loopbackControl, Remedy: policyRemedy,
		Source:   "smolvm#784, smolvm#963; agents-sandbox#144",
		Backends: []string{VirtioNet}, Where: "On virtio-net (smolvm 1.7.2 and newer).",
		aims: func(r *rig) ([]aim, absence) { return r.gatewayAims(nil) },
	},
	{
		ID: "net.tcp.loopback-range.v4", Family: "net.tcp", Severity: High, Expect: Contain,
		What:    "Dial canaries on the host's 127.0.0.2 and 127.0.0.53.",
		Why:     "On a Linux host all of 127/8 is loopback, and resolvers and other bottles' sidecars live on addresses other than .1.",
		Control: loopbackControl, Remedy: policyRemedy,
		Source:   "libkrun 98163265 muxer.rs; systemd-resolved at 127.0.0.53",
		Backends: []string{TSI}, Where: tsiWhere,
		aims: func(r *rig) ([]aim, absence) { return r.loopbackRange() },
	},
	{
		ID: "net.tcp.unspecified", Family: "net.tcp", Severity: High, Expect: Contain,
		What:    "Dial 0.0.0.0 and [::], which a host's kernel takes for its own loopback, at the port of a canary there.",
		Why:     "A policy that lists loopback may have forgotten the unspecified address, which connects to the same services.",
		Control: loopbackControl, Remedy: policyRemedy,
		Source:   "smolvm#1060 (the default floor does not cover 0.0.0.0)",
		Backends: []string{TSI}, Where: tsiWhere,
		aims: func(r *rig) ([]aim, absence) { return r.unspecifiedAims(), absence{} },
	},
	{
		ID: "net.tcp.public.v4", Family: "net.tcp", Severity: Critical, Expect: Contain,
		What:    "Dial public addresses of two operators on port 443.",
		Why:     "It is how data leaves: an agent that can open one connection to the internet needs no other.",
		Control: worldControl, Remedy: policyRemedy,
		Source: "apple/container#2062 (an internal network that let TCP out)", Where: worldWhere,
		aims: func(r *rig) ([]aim, absence) { return r.worldAims(nil, "8.8.8.8:443", "9.9.9.9:443") },
	},
	{
		ID: "net.tcp.resolver.other-port", Family: "net.tcp", Severity: High, Expect: Contain,
		What:    "Dial 1.1.1.1 on ports 443, 853 and 22.",
		Why:     "smolvm 0.8.0 puts 1.1.1.1 into every allowlist so that names resolve, on every port and protocol.",
		Control: worldControl, Remedy: "Use smolvm 1.1.3 or newer, whose allowlist is the one asked for; or waive it, with the release and an end.",
		Source: "smolvm v0.8.0 ensure_dns_in_cidrs; smolvm 9362f930", Where: worldWhere,
		aims: func(r *rig) ([]aim, absence) { return r.worldAims(nil, "1.1.1.1:443", "1.1.1.1:853", "1.1.1.1:22") },
	},
	{
		ID: "net.tcp.metadata.v4", Family: "net.tcp", Severity: Critical, Expect: Contain,
		What:    "Dial the metadata services of clouds: 169.254.169.254, 169.254.170.2 and 168.63.129.16, on port 80.",
		Why:     "They hand out the credentials of the machine that the bottle runs on to whoever asks.",
		Control: worldControl, Remedy: policyRemedy + " From 1.0.4 smolvm floors link-local addresses unless it is told otherwise.",
		Source: "smolvm#389, smolvm#510", Where: worldWhere,
		aims: func(r *rig) ([]aim, absence) {
			return r.worldAims(nil, "169.254.169.254:80", "169.254.170.2:80", "168.63.129.16:80")
		},
	},
	{
		ID: "net.tcp.allowed-ip.other-port", Family: "net.tcp", Severity: High, Expect: Contain,
		What:    "Dial a canary of the host's at the allowed address, on a port that is nobody's business there.",
		Why:     "smolvm filters by address only: whatever listens on the allowed address, or on all addresses of its host, is in reach.",
		Control: canaryControl, Remedy: "Give the bundle an address of its own (topology bridge), or waive it and keep the host's other listeners off that address.",
		Source: "smolvm#744, smolvm#802 (port rules)", Where: "Where the allowed address is this host's, as in topology alias. In topology bridge only the bundle is there: see proxy.admin-surface.",
		aims: (*rig).otherPortAims,
	},
	{
		ID: "net.tcp.allow-neighbour.v4", Family: "net.tcp", Severity: High, Expect: Contain,
		What:    "Dial canaries on the addresses next to the allowed one, and on the first and last of its /24.",
		Why:     "An allowlist off by one bit opens the gateway or the next bottle's bundle.",
		Control: canaryControl, Remedy: policyRemedy,
		Source: "cyclonus generator; smolvm v0.8.0 smolfile.rs (a bare IPv6 address became a /32)", Where: "Where this host has, or can take, such an address.",
		aims: (*rig).neighbourAims,
	},
	{
		ID: "net.tcp.addr-encodings", Family: "net.tcp", Severity: High, Expect: Contain,
		What:    "Dial a canary of the host's as an IPv4-mapped, an IPv4-compatible and a NAT64 IPv6 address.",
		Why:     "A policy of IPv4 prefixes that sees an IPv6 spelling of a denied address may let it through.",
		Control: canaryControl, Remedy: policyRemedy,
		Source: "agent-egress-bench ssrf-bypass; libkrun 98163265 muxer.rs (no canonicalisation)", Where: everywhere,
		aims: (*rig).encodingAims,
	},
	{
		ID: "net.tcp.all-ports-sample", Family: "net.tcp", Severity: High, Expect: Contain,
		What:    "Dial canaries on well-known ports of the host.",
		Why:     "Policies have exceptions by port: DNS, NTP, HTTPS, the engine's own. A wall that was tried at one port was tried at one port.",
		Control: canaryControl, Remedy: policyRemedy,
		Source: "sandbox-probe#55", Where: "On those ports that nothing else on this host has taken.",
		aims: (*rig).portSampleAims,
	},
	{
		ID: "net.tcp.port53", Family: "net.tcp", Severity: High, Expect: Contain,
		What:    "Send a DNS query over TCP to a canary on port 53 of the host.",
		Why:     "Port 53 is special on the way out of every sandbox: gateways answer it themselves or let it pass.",
		Control: canaryControl, Remedy: "Keep the gateway from forwarding what was not asked of it, or filter names.",
		Source: "smolvm add_dns_tcp_sockets", Where: "Where port 53 of an address of this host is free.",
		aims: (*rig).port53Aims,
	},
}

// gatewayAims are the spellings of the host's loopback that leave the guest.
func (r *rig) gatewayAims(shape func(*aim)) ([]aim, absence) {
	var aims []aim
	for _, gate := range r.site.hostLoopback() {
		if gate.IsLoopback() || !gate.Is4() {
			continue
		}
		a := r.hostAim(netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), 0), shape)
		a.addr = netip.AddrPortFrom(gate, a.addr.Port())
		aims = append(aims, a)
	}
	if len(aims) == 0 {
		return nil, absence{why: "the site has no address of a gateway that leads to the host's loopback"}
	}
	return aims, absence{}
}

func (r *rig) loopbackRange() ([]aim, absence) {
	var aims []aim
	for _, text := range []string{"127.0.0.2", "127.0.0.53"} {
		ip := netip.MustParseAddr(text)
		if ip == r.site.Allowed.Addr.Addr() {
			continue
		}
		if a, _ := r.bound(ip, nil); !a.gone {
			aims = append(aims, a)
		}
	}
	if len(aims) == 0 {
		return nil, absence{why: "this host binds no loopback address but 127.0.0.1 (macOS)"}
	}
	return aims, absence{}
}

func (r *rig) unspecifiedAims() []aim {
	var aims []aim
	for spelling, at := range map[string]string{"0.0.0.0": "127.0.0.1", "::": "::1"} {
		a := r.hostAim(netip.AddrPortFrom(netip.MustParseAddr(at), 0), nil)
		a.addr = netip.AddrPortFrom(netip.MustParseAddr(spelling), a.addr.Port())
		aims = append(aims, a)
	}
	slices.SortFunc(aims, func(a, b aim) int { return a.addr.Addr().Compare(b.addr.Addr()) })
	return aims
}

func (r *rig) otherPortAims() ([]aim, absence) {
	ip := r.site.Allowed.Addr.Addr()
	if !ip.IsValid() {
		return nil, absence{why: "the site names no allowed destination", unproven: true}
	}
	if !isHostAddr(ip) && !ip.IsLoopback() {
		return nil, absence{why: ip.String() + " is no address of this host, so nothing but the bundle's own listeners can be there"}
	}
	a, err := r.bound(ip, nil)
	if err != nil {
		return nil, absence{why: err.Error(), unproven: true}
	}
	return []aim{a}, absence{}
}

func (r *rig) neighbourAims() ([]aim, absence) {
	ip := r.site.Allowed.Addr.Addr()
	if !ip.Is4() {
		return nil, absence{why: "the site names no allowed IPv4 destination", unproven: true}
	}
	if ip.IsLoopback() && r.site.Backend == VirtioNet {
		return nil, absence{why: "the neighbours of a loopback address are the guest's own on virtio-net"}
	}
	four := ip.As4()
	first, last := four, four
	first[3], last[3] = 0, 255
	var aims []aim
	for _, n := range []netip.Addr{ip.Prev(), ip.Next(), netip.AddrFrom4(first), netip.AddrFrom4(last)} {
		if !isHostAddr(n) && !n.IsLoopback() {
			continue // what can be bound all the same, as a network's broadcast address, cannot be dialled
		}
		if a, _ := r.bound(n, nil); !a.gone {
			aims = append(aims, a)
		}
	}
	if len(aims) == 0 {
		return nil, absence{why: "this host has no address next to " + ip.String() + ", and can take none"}
	}
	return aims, absence{}
}

// nat64 is the well-known prefix of RFC 6052.
var nat64 = netip.MustParsePrefix("64:ff9b::/96")

func (r *rig) encodingAims() ([]aim, absence) {
	plainly, none := r.firstHost(nil)
	if none.why != "" {
		return nil, none
	}
	target := plainly[0]
	four := target.addr.Addr().As4()
	compatible, translated := [16]byte{}, nat64.Addr().As16()
	copy(compatible[12:], four[:])
	copy(translated[12:], four[:])
	var aims []aim
	for _, ip := range []netip.Addr{netip.AddrFrom16(netip.AddrFrom4(four).As16()), netip.AddrFrom16(compatible), netip.AddrFrom16(translated)} {
		a := target
		a.addr = netip.AddrPortFrom(ip, target.addr.Port())
		if !ip.Is4In6() { // it leaves the guest as IPv6, for an address that is not this host's
			if a.post = r.world; a.post == nil {
				continue
			}
		}
		aims = append(aims, a)
	}
	return aims, absence{}
}

// samplePorts are ports that walls have exceptions for, and ports of services that trust whoever reaches them, the best known first.
var samplePorts = []uint16{
	21, 25, 80, 110, 123, 143, 389, 443, 445, 1433, 2375, 3306, 5432, 6379, 8080, 9200, 11211, 27017,
	111, 135, 139, 161, 465, 514, 587, 636, 873, 993, 995, 1080, 1521, 1883, 2049, 2181, 2379, 3000, 3128, 3389, 4222, 4369, 5000, 5044, 5601,
	5672, 5900, 6443, 7000, 7077, 8000, 8086, 8088, 8443, 8500, 8888, 9000, 9042, 9090, 9092, 9300, 10250, 15672, 50051,
}

// sampleSize is how many of them are dialled: other runs beside this one, and services of the host's, have theirs.
const sampleSize = 18

func (r *rig) portSampleAims() ([]aim, absence) {
	hosts := r.hosts(isAny4)
	if len(hosts) == 0 {
		return nil, absence{why: "this host has no IPv4 address beside its loopback and the allowed one"}
	}
	var aims []aim
	for _, port := range samplePorts {
		if len(aims) == sampleSize {
			break
		}
		if a := r.hostAim(netip.AddrPortFrom(hosts[0].Addr, port), nil); a.absent == "" {
			aims = append(aims, a)
		}
	}
	if len(aims) == 0 {
		return nil, absence{why: "no well-known port of " + hosts[0].String() + " could be taken", unproven: true}
	}
	return aims, absence{}
}

func (r *rig) port53Aims() ([]aim, absence) {
	shape := func(a *aim) { a.send = sendDNSOverTCP }
	hosts := r.hosts(isAny4)
	for _, h := range hosts {
		if a := r.hostAim(netip.AddrPortFrom(h.Addr, 53), shape); a.absent == "" {
			return []aim{a}, absence{}
		}
	}
	return nil, absence{why: "port 53 of no address of this host could be taken", unproven: true}
}
