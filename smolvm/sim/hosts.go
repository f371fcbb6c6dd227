//go:build linux

package sim

import (
	"context"
	"net/netip"
	"strings"

	"bottle.internal/smolvm/sim/vnet"
)

// hostNames reads what --allow-host takes: names of hosts, without a port or a pattern.
func hostNames(specs []string) ([]string, error) {
	for _, name := range specs {
		if !hostName(strings.TrimSuffix(name, ".")) {
			return nil, configError("allow-host", "'%s' is not a host name", name)
		}
	}
	return specs, nil
}

func hostName(name string) bool {
	if name == "" || len(name) > 253 {
		return false
	}
	for label := range strings.SplitSeq(name, ".") {
		if label == "" || len(label) > 63 || strings.ContainsFunc(label, func(r rune) bool { return !alphanumeric(r) && r != '-' && r != '_' }) {
			return false
		}
	}
	return true
}

// hostsResolve refuses a policy whose names do not resolve when it is made (smolvm v0.8.0 vm_common.rs). What they resolve to is
// looked up again at every start.
func (s *session) hostsResolve(r record) error {
	for _, name := range r.Hosts {
		if _, err := s.lookup(r, name); err != nil {
			return configError("allow-host", "failed to resolve '%s': %w", name, err)
		}
	}
	return nil
}

// hostCIDRs are the addresses of a policy's names. A name that does not resolve now is a warning, and stays closed.
func (s *session) hostCIDRs(r record) []string {
	var out []string
	for _, name := range r.Hosts {
		addrs, err := s.lookup(r, name)
		if err != nil {
			s.note("WARN failed to resolve allowed host '%s', it stays unreachable: %v", name, err)
		}
		for _, a := range addrs {
			out = append(out, netip.PrefixFrom(a, s.hostBits(a)).String())
		}
	}
	return out
}

// hostBits is how much of an address a name allows: all of it, but for v0.8.0, which wrote /32 behind IPv6 ones too
// (smolfile.rs; fixed in v0.8.1).
func (f features) hostBits(a netip.Addr) int {
	if f.WideIPv6Hosts {
		return 32
	}
	return a.BitLen()
}

func (s *session) lookup(r record, name string) ([]netip.Addr, error) {
	resolver := vnet.Resolver{World: s.env["SMOLVM_SIM_WORLD"], Machine: r.Name}
	return resolver.Lookup(context.Background(), name)
}
