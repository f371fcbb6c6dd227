//go:build linux

package vnet

import (
	"net/netip"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// The rules of a tsi guest, first match wins.
const (
	prefServed     = 10 // to a port the guest serves: stays inside
	prefServing    = 11 // and back
	prefAllowed    = 12 // allowed loopback addresses of the host
	prefPublished  = 14 // to a published port from outside, and back
	prefEphemeral  = 15 // the guest's ephemeral ports: stays inside
	prefName       = 17 // questions for the host's nameserver
	prefOwn        = 18 // the guest's own address
	prefUDPInside  = 19 // UDP sockets connected to 127.0.0.0/8 stay inside
	prefUDPFloor   = 20 // other connected UDP sockets: see connectedUDP
	prefUDPAllowed = 21
	prefUDPDenied  = 22
	prefUDP        = 23    // every other datagram: to the supervisor
	prefPingSelf   = 24    // ICMP inside the guest
	prefPing       = 25    // ICMP is not hijacked, and has no route
	prefFloor      = 30    // denied whatever Allow says
	prefLearned    = 31    // addresses of allowed names
	prefOpenPort   = 32    // ports that a defect opens
	prefLoopback   = 50    // the host's loopback, or prohibited
	prefLocal      = 100   // the kernel's own first rule, moved down
	prefLocalMoved = 0     // where it was
	_              = 32766 // main: allowed prefixes, else prohibited
)

// tsiRules are the guest's rules, in both families.
func tsiRules(cfg Config) []rule {
	rules := connectedUDP(cfg)
	for _, own := range []netip.Addr{guestV4, guestV6} {
		rules = append(rules, publishedRules(cfg, own)...)
		rules = append(rules, insideRules(cfg, own)...)
		rules = append(rules, nameRules(cfg, own)...)
		rules = append(rules, openPortRules(cfg, own)...)
		loopback, all := loopbackOf(own), everything(own)
		ping := uint8(unix.IPPROTO_ICMP)
		if own.Is6() {
			ping = unix.IPPROTO_ICMPV6
		}
		rules = append(rules,
			rule{pref: prefOwn, to: hostPrefix(own), table: unix.RT_TABLE_LOCAL},
			rule{pref: prefUDP, to: all, proto: unix.IPPROTO_UDP, table: tableTUN},
			rule{pref: prefPingSelf, to: loopback, proto: ping, table: unix.RT_TABLE_LOCAL},
			rule{pref: prefPing, to: all, proto: ping, action: nl.FR_ACT_UNREACHABLE},
			rule{pref: prefLoopback, to: loopback, table: tableLoopback},
			rule{pref: prefLocal, to: all, table: unix.RT_TABLE_LOCAL, received: true})
		for _, p := range ofFamily(cfg.Floor, own) {
			rules = append(rules, rule{pref: prefFloor, to: p, action: nl.FR_ACT_PROHIBIT})
		}
	}
	return rules
}

// publishedRules let published ports be dialled from outside, and answer. What
// comes for ::1 comes in by lo, where only its source tells it from the guest's own.
func publishedRules(cfg Config, own netip.Addr) []rule {
	var rules []rule
	if cfg.PublishUnasked {
		rules = append(rules,
			rule{pref: prefPublished, from: hostOf(own), to: loopbackOf(own), proto: unix.IPPROTO_TCP, table: unix.RT_TABLE_LOCAL, received: true},
			rule{pref: prefPublished, to: hostOf(own), proto: unix.IPPROTO_TCP, table: tableTUN})
	}
	for _, p := range cfg.Publish {
		rules = append(rules,
			rule{pref: prefPublished, from: hostOf(own), to: loopbackOf(own), proto: unix.IPPROTO_TCP, dport: onePort(p.Guest), table: unix.RT_TABLE_LOCAL, received: true},
			rule{pref: prefPublished, to: hostOf(own), proto: unix.IPPROTO_TCP, sport: onePort(p.Guest), table: tableTUN})
	}
	return rules
}

// nameRules lead what takesName takes to the supervisor, connected or not.
func nameRules(cfg Config, own netip.Addr) []rule {
	switch {
	case len(cfg.Hosts) == 0:
		return nil
	case cfg.InterceptDNS:
		return []rule{{pref: prefName, to: everything(own), proto: unix.IPPROTO_UDP, dport: onePort(dnsPort), table: tableTUN}}
	case own.Is4():
		return []rule{{pref: prefName, to: hostPrefix(hostResolver.Addr()), proto: unix.IPPROTO_UDP, dport: onePort(dnsPort), table: tableTUN}}
	}
	return nil
}

// openPortRules lead what goes to a port that a defect opens to the supervisor.
func openPortRules(cfg Config, own netip.Addr) []rule {
	var rules []rule
	for _, port := range cfg.OpenPorts {
		rules = append(rules, rule{pref: prefOpenPort, to: everything(own), proto: unix.IPPROTO_TCP, dport: onePort(port), table: tableTUN})
		if own.Is4() {
			rules = append(rules, rule{pref: prefUDPAllowed, from: hostPrefix(own), to: everything(own), proto: unix.IPPROTO_UDP, dport: onePort(port), table: tableTUN})
		}
	}
	return rules
}

// insideRules keep the guest's ephemeral ports inside, and let allowed loopback out
// before that.
func insideRules(cfg Config, own netip.Addr) []rule {
	var rules []rule
	loopback := loopbackOf(own)
	if cfg.Restrict {
		for _, p := range allowedLoopback(cfg, loopback) {
			rules = append(rules, rule{pref: prefAllowed, to: p, proto: unix.IPPROTO_TCP, table: tableLoopback})
		}
		rules = append(rules, rule{pref: prefEphemeral, to: loopback, proto: unix.IPPROTO_TCP, dport: ephemeral, table: unix.RT_TABLE_LOCAL})
	}
	if cfg.Restrict || own.Is6() {
		// Without a policy for IPv6 alone: a server on [::] answers a client
		// on ::1 from there only if the client's port is known to be inside.
		rules = append(rules, rule{pref: prefEphemeral, to: loopback, proto: unix.IPPROTO_UDP, dport: ephemeral, table: unix.RT_TABLE_LOCAL})
	}
	return rules
}

// connectedUDP are the rules that tell connect() of a UDP socket from sendto()
// without one. For IPv4, connect() looks its route up twice, the second time with
// the source that the first has given it (ip_route_connect); sendto() does so
// once, with no source. So a rule on the source is connect()'s alone: there a
// denied address is EACCES, and all of 127.0.0.0/8 is the guest's own, policy or
// not, as in libkrunfw af_tsi.c. IPv6 has but one lookup for both.
func connectedUDP(cfg Config) []rule {
	own := hostPrefix(guestV4)
	rules := []rule{{pref: prefUDPInside, from: loopbackV4, to: loopbackV4, proto: unix.IPPROTO_UDP, table: unix.RT_TABLE_LOCAL}}
	for _, p := range ofFamily(cfg.Floor, guestV4) {
		rules = append(rules, rule{pref: prefUDPFloor, from: own, to: p, proto: unix.IPPROTO_UDP, action: nl.FR_ACT_PROHIBIT})
	}
	if !cfg.Restrict || cfg.OpenUDP {
		return rules
	}
	for _, p := range ofFamily(cfg.Allow, guestV4) {
		rules = append(rules, rule{pref: prefUDPAllowed, from: own, to: p, proto: unix.IPPROTO_UDP, table: tableTUN})
	}
	return append(rules, rule{pref: prefUDPDenied, from: own, to: everything(guestV4), proto: unix.IPPROTO_UDP, action: nl.FR_ACT_PROHIBIT})
}

// ofFamily are the prefixes of a's family, without host bits.
func ofFamily(list []netip.Prefix, a netip.Addr) []netip.Prefix {
	var out []netip.Prefix
	for _, p := range list {
		if p.Addr().Is4() == a.Is4() {
			out = append(out, p.Masked())
		}
	}
	return out
}

func hostPrefix(a netip.Addr) netip.Prefix { return netip.PrefixFrom(a, a.BitLen()) }

// hostOf is where published ports are dialled from in a's family.
func hostOf(a netip.Addr) netip.Prefix {
	gateway := gatewayV4
	if a.Is6() {
		gateway = gatewayV6
	}
	return hostPrefix(gateway)
}

func loopbackOf(a netip.Addr) netip.Prefix {
	if a.Is4() {
		return loopbackV4
	}
	return loopbackV6
}

// allowedLoopback are the allowed parts of loopback.
func allowedLoopback(cfg Config, loopback netip.Prefix) []netip.Prefix {
	var parts []netip.Prefix
	for _, p := range cfg.Allow {
		switch {
		case !p.Overlaps(loopback):
		case p.Bits() < loopback.Bits():
			parts = append(parts, loopback)
		default:
			parts = append(parts, p.Masked())
		}
	}
	return parts
}
