package bottletest

import (
	"net/netip"
	"os"
	"strings"

	"bottle.internal/probes/agent"
	"bottle.internal/smolvm"
)

// unasked is what v lets through beside the allowlist, or may let through: from v0.8.1 on tsi the host's resolver, as far as
// /etc/resolv.conf tells, and 1.1.1.1, which it takes where it finds none.
func unasked(v smolvm.Version, p Plan) []netip.Prefix {
	if p.Backend != smolvm.TSI || !v.AtLeast(0, 8, 1) {
		return p.Besides
	}
	conf, _ := os.ReadFile("/etc/resolv.conf") // without it there is no resolver to be let through
	return append(resolversIn(string(conf)), netip.MustParsePrefix("1.1.1.1/32"))
}

// resolversIn are the nameservers of a resolv.conf.
func resolversIn(conf string) []netip.Prefix {
	var all []netip.Prefix
	for line := range strings.Lines(conf) {
		words := strings.Fields(line)
		if len(words) < 2 || words[0] != "nameserver" {
			continue
		}
		if ip, err := netip.ParseAddr(words[1]); err == nil {
			ip = ip.WithZone("")
			all = append(all, netip.PrefixFrom(ip, ip.BitLen()))
		}
	}
	return all
}

// again is the command that makes one attempt in the bottle's guest. Pings have none, and are made with their probe.
func (b *Bottle) again(network agent.Network, at netip.AddrPort) string {
	switch network {
	case agent.TCP4, agent.TCP6:
		return "bottle-probe dial " + at.String() + " --machine " + b.plan.Machine
	case agent.UDP4, agent.UDP6:
		return "bottle-probe dial " + at.String() + " --udp --machine " + b.plan.Machine
	}
	return "bottle-probe check bottle " + b.plan.Machine + " --only policy.boundary.icmp"
}
