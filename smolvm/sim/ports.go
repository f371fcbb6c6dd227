//go:build linux

package sim

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"bottle.internal/smolvm/sim/vnet"
)

// ports reads what --port takes, HOST:GUEST or one number for both (smolvm v0.8.0 src/data/network.rs).
func ports(g grammar, specs []string) ([]vnet.Port, error) {
	var out []vnet.Port
	for _, spec := range specs {
		p, why := parsePort(spec)
		if why != "" {
			return nil, g.invalid("port", spec, "%s", why)
		}
		if slices.ContainsFunc(out, func(other vnet.Port) bool { return other.Host == p.Host }) {
			return nil, configError("create machine", "duplicate host port %d: each host port can only be mapped once", p.Host)
		}
		out = append(out, p)
	}
	return out, nil
}

// parsePort reads one mapping; why says what is wrong with it.
func parsePort(spec string) (p vnet.Port, why string) {
	host, guest, two := strings.Cut(spec, ":")
	kind := "host port"
	if !two {
		guest, kind = host, "port"
	}
	if p.Host, why = portNumber(host, kind); why != "" {
		return p, why
	}
	p.Guest, why = portNumber(guest, "guest port")
	return p, why
}

func portNumber(text, kind string) (n uint16, why string) {
	parsed, err := strconv.ParseUint(text, 10, 16)
	switch {
	case err != nil:
		return 0, "invalid " + kind + ": " + text
	case parsed == 0:
		return 0, kind + " 0 is not valid for VM port forwarding"
	}
	return uint16(parsed), ""
}

// portsFree refuses a port that a running machine publishes, at whatever address: smolvm compares numbers
// (v0.8.0 vm_common.rs check_port_conflicts).
func (s *session) portsFree(m machine) error {
	if len(m.Ports) == 0 {
		return nil
	}
	records, err := s.store().list()
	if err != nil {
		return err
	}
	for _, r := range records {
		if r.Name == m.Name || len(r.Ports) == 0 || s.machineOf(r).state() != stateRunning {
			continue
		}
		for _, p := range m.Ports {
			if slices.ContainsFunc(r.Ports, func(other vnet.Port) bool { return other.Host == p.Host }) {
				return configError("start machine", "host port %d is already in use by running machine '%s'", p.Host, r.Name)
			}
		}
	}
	return nil
}

// publishAt is where virtio-net publishes: nil for its default, loopback.
func (f features) publishAt(env environ) ([]netip.Addr, error) {
	text := env["SMOLVM_PUBLISH_ADDR"]
	if !f.FleetVariables || text == "" {
		return nil, nil
	}
	at, err := netip.ParseAddr(text)
	if err != nil || at.Zone() != "" {
		return nil, configError("SMOLVM_PUBLISH_ADDR", "'%s' is not an IP address", text)
	}
	return []netip.Addr{at}, nil
}
