//go:build linux

package sim

import (
	"bufio"
	"net/netip"
	"os"
	"slices"
	"strings"

	"bottle.internal/smolvm/sim/vnet"
)

// The spellings of --net-backend.
const (
	backendTSI    = string(vnet.TSI)
	backendVirtio = string(vnet.VirtioNet)
)

var backends = []string{backendTSI, backendVirtio}

// The floors (smolvm v1.0.4 and v1.9.3 egress.rs).
var (
	metadataFloor = prefixes("169.254.0.0/16", "fe80::/10")
	strictFloor   = append(prefixes("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "172.16.0.0/12",
		"192.168.0.0/16", "255.255.255.255/32", "::/128", "::1/128", "fc00::/7"), metadataFloor...)
)

func prefixes(list ...string) []netip.Prefix {
	var out []netip.Prefix
	for _, s := range list {
		out = append(out, netip.MustParsePrefix(s))
	}
	return out
}

// network is what the relay of a machine is told, nil for a machine without a network. env is start's: smolvm's boot process
// inherits it, so the floor variables count on start and not on create.
func (f features) network(r record, env environ) (*vnet.Config, error) {
	backend, err := f.backend(r, env)
	if err != nil || !r.networked() {
		return nil, err
	}
	c := &vnet.Config{
		Backend: backend, Restrict: r.Policy, Machine: r.Name, World: env["SMOLVM_SIM_WORLD"], Publish: r.Ports,
		Hosts: r.Hosts, InterceptDNS: f.InterceptDNS && len(r.Hosts) > 0,
		HostGateway: f.HostGateway && backend == vnet.VirtioNet,
		NameHost:    f.NameHost && backend == vnet.VirtioNet,
		FailFast:    f.UnreachableIsFast && backend == vnet.VirtioNet,
	}
	for _, s := range r.Allow {
		p, err := netip.ParsePrefix(s)
		if err != nil {
			return nil, databaseError("load machine", err)
		}
		c.Allow = append(c.Allow, p)
	}
	if backend == vnet.TSI && r.Policy {
		c.Allow = f.withResolver(c.Allow)
	}
	if backend == vnet.VirtioNet {
		if c.PublishAt, err = f.publishAt(env); err != nil {
			return nil, err
		}
	}
	if backend == vnet.VirtioNet || f.TSIFloor {
		c.Floor = f.floor(env)
	}
	return c, nil
}

// shared is what faultPoliciesShared adds to a policy: all that others have.
func (s *session) shared(r record) ([]string, error) {
	if !s.faults.has(faultPoliciesShared) || !r.Policy {
		return nil, nil
	}
	all, err := s.store().list()
	var more []string
	for _, other := range all {
		more = append(more, other.Allow...)
	}
	return more, err
}

// misread puts what a wrong mask covers beside each IPv4 prefix into the policy.
func (f faults) misread(c *vnet.Config) {
	for _, p := range slices.Clone(c.Allow) {
		if !p.Addr().Is4() || p.Bits() < 24 {
			continue
		}
		if f.has(faultPrefixWide) {
			c.Allow = append(c.Allow, netip.PrefixFrom(p.Addr(), p.Bits()-1).Masked())
		}
		for _, hole := range [][2]byte{{1, 0}, {0, 1}, {1, 1}} {
			b := p.Addr().As4()
			b[1], b[2] = b[1]^hole[0], b[2]^hole[1]
			if f.has(faultMaskHoles) {
				c.Allow = append(c.Allow, netip.PrefixFrom(netip.AddrFrom4(b), p.Bits()))
			}
		}
	}
}

// opened are the destinations that a fault opens beside the policy's.
var opened = map[fault][]netip.Prefix{
	faultGatewayOpen:     prefixes("100.96.0.1/32", "fd53:4d00::1/128"),
	faultMetadataOpen:    prefixes("169.254.0.0/16", "168.63.129.16/32", "fd00:ec2::254/128"),
	faultTranslationOpen: prefixes("64:ff9b::/96"),
	faultLoopbackShared:  prefixes("127.0.0.0/8", "::1/128"),
}

// openPrefixes puts what faults open into the policy, and takes it out of the floor.
func (f faults) openPrefixes(c *vnet.Config) {
	for _, one := range f {
		c.Allow = append(c.Allow, opened[one]...)
		c.Floor = slices.DeleteFunc(slices.Clone(c.Floor), func(p netip.Prefix) bool {
			return slices.ContainsFunc(opened[one], p.Overlaps)
		})
	}
	for one, port := range map[fault]uint16{faultPort53Open: 53, faultPort443Open: 443} {
		if f.has(one) {
			c.OpenPorts = append(c.OpenPorts, port)
		}
	}
}

// networked reports whether the machine has a network: published ports bring one, and on their own no policy (smolvm v0.8.0
// launch.rs).
func (r record) networked() bool { return r.Network || r.Policy || len(r.Ports) > 0 }

// backend is src/network/launch.rs: what a flag asks for, else what ports, a policy or fleet mode need, else TSI.
func (f features) backend(r record, env environ) (vnet.Backend, error) {
	fleet := f.FleetVariables && env["SMOLVM_PUBLISH_ADDR"] != ""
	backend, published := vnet.Backend(r.Backend), len(r.Ports) > 0
	if r.Backend == "" {
		backend = vnet.TSI
		if fleet || r.Policy && f.PolicyNeedsVirtio || published && f.PortsSelectVirtio {
			backend = vnet.VirtioNet
		}
	}
	switch {
	case published && backend == vnet.TSI && f.PortsNeedVirtio:
		return "", configError("ports", "published ports require the virtio-net backend (TSI is outbound-only); "+
			"remove --net-backend tsi or set it to virtio-net")
	case published && backend == vnet.VirtioNet && !f.PortsNeedVirtio:
		return "", configError("ports", "--net-backend virtio-net does not support published ports")
	case r.Policy && backend == vnet.VirtioNet && !f.VirtioEnforces:
		return "", configError("select network backend", "--net-backend virtio-net does not support egress policies")
	case r.Policy && backend == vnet.TSI && f.PolicyNeedsVirtio:
		return "", configError("egress", "egress policy (--allow-cidr/--allow-host/--outbound-localhost-only) requires the virtio-net backend; "+
			"TSI does not enforce it. Remove --net-backend tsi or set it to virtio-net")
	case r.Backend == backendVirtio && !r.networked():
		return "", configError("--net-backend", "--net-backend virtio-net requires --net")
	}
	return backend, nil
}

// withResolver is ensure_dns_in_cidrs (smolvm v0.8.0 src/data/network.rs): the resolver is let through on every port, unless
// the list covers it or is loopback only.
func (f features) withResolver(allow []netip.Prefix) []netip.Prefix {
	resolver := f.resolverAddress()
	loopbackOnly := len(allow) > 0
	for _, p := range allow {
		if p.Contains(resolver) {
			return allow
		}
		loopbackOnly = loopbackOnly && p.Addr().IsLoopback()
	}
	if loopbackOnly {
		return allow
	}
	return append(allow, netip.PrefixFrom(resolver, resolver.BitLen()))
}

func (f features) resolverAddress() netip.Addr {
	fallback := netip.MustParseAddr(string(resolverFixed))
	if f.Resolver == resolverFixed {
		return fallback
	}
	file, err := os.Open("/etc/resolv.conf")
	if err != nil {
		return fallback
	}
	defer file.Close()
	for sc := bufio.NewScanner(file); sc.Scan(); {
		fields := strings.Fields(sc.Text())
		if len(fields) < 2 || fields[0] != "nameserver" {
			continue
		}
		if addr, err := netip.ParseAddr(fields[1]); err == nil && !addr.IsLoopback() {
			return addr.WithZone("")
		}
	}
	return fallback
}

// floor applies SMOLVM_EGRESS_FLOOR, then SMOLVM_EGRESS_ALLOW_PRIVATE, then SMOLVM_PUBLISH_ADDR, then the release's default
// (smolvm v1.9.3 egress.rs), as far as the release knows them.
func (f features) floor(env environ) []netip.Prefix {
	chosen := f.VirtioFloor
	if f.FleetVariables {
		if env["SMOLVM_PUBLISH_ADDR"] != "" {
			chosen = floorStrict
		}
		if v := env["SMOLVM_EGRESS_ALLOW_PRIVATE"]; v == "1" || strings.EqualFold(v, "true") {
			chosen = floorOff
		}
	}
	if f.FloorVariable {
		chosen = namedFloor(env["SMOLVM_EGRESS_FLOOR"], chosen)
	}
	switch chosen {
	case floorOff:
		return nil
	case floorStrict:
		return strictFloor
	default:
		return metadataFloor
	}
}

// namedFloor reads SMOLVM_EGRESS_FLOOR. A word that smolvm does not know is no word.
func namedFloor(word string, otherwise floor) floor {
	switch strings.ToLower(strings.TrimSpace(word)) {
	case "strict":
		return floorStrict
	case "metadata", "metadata-only", "metadataonly":
		return floorMetadata
	case "off", "none":
		return floorOff
	}
	return otherwise
}

// nameservers are what the guest's resolv.conf lists (smolvm v0.8.0 agent main.rs; the gateway on virtio-net).
func (f features) nameservers(c *vnet.Config) []string {
	if c != nil && c.Backend == vnet.VirtioNet {
		return []string{"100.96.0.1"}
	}
	if c != nil && len(c.Hosts) > 0 && !f.InterceptDNS {
		return []string{"127.0.0.1"} // the agent's proxy to the host filter
	}
	if f.Resolver == resolverHost {
		return []string{f.resolverAddress().String()}
	}
	return []string{"1.1.1.1", "8.8.8.8"}
}
