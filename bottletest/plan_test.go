package bottletest

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"bottle.internal/smolvm"
)

func TestPlan(t *testing.T) {
	subnet := netip.MustParsePrefix("10.77.5.0/24")
	bundle := netip.MustParseAddr("10.77.5.2")
	common := Plan{
		Slug: "test-x", Machine: "bottle-test-x", Topology: Bridge, Runtime: Container, Subnet: subnet, Inside: bundle,
		Gateway: netip.MustParseAddr("10.77.5.1"), Bundle: bundle, Allow: []netip.Prefix{netip.MustParsePrefix("10.77.5.2/32")},
	}
	old, newest := common, common
	old.Engine, old.Backend = "smolvm 0.8.0 (simulated)", smolvm.TSI
	old.Besides = []netip.Prefix{netip.MustParsePrefix("1.1.1.1/32")}
	newest.Engine, newest.Backend = "smolvm 1.9.3", smolvm.VirtioNet
	newest.Daemons = []string{"proxy", "egress"}
	newest.GuestEnv = []string{
		"HTTP_PROXY=http://10.77.5.2:8888", "http_proxy=http://10.77.5.2:8888",
		"HTTPS_PROXY=http://10.77.5.2:8888", "https_proxy=http://10.77.5.2:8888",
		"NO_PROXY=localhost,127.0.0.1,::1,10.77.5.2", "no_proxy=localhost,127.0.0.1,::1,10.77.5.2",
		"MINE=1",
	}
	for name, tc := range map[string]struct {
		cfg     Config
		version smolvm.Version
		want    Plan
	}{
		"the zero Config": {Config{}, smolvm.Version{Minor: 8, Simulated: true}, old},
		"with daemons":    {Config{Daemons: []string{"proxy", "egress"}, Env: []string{"MINE=1"}}, smolvm.Version{Major: 1, Minor: 9, Patch: 3}, newest},
	} {
		got := NewPlan(tc.cfg, "test-x", Location{Subnet: subnet}, tc.version)
		if diff := cmp.Diff(tc.want, got, cmpopts.EquateEmpty(), cmpopts.EquateComparable(netip.Addr{}, netip.Prefix{})); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

// TestPlanAllowsOneAddressOnly would see a mask slip: a bottle's allowlist is the bundle and nothing else.
func TestPlanAllowsOneAddressOnly(t *testing.T) {
	p := NewPlan(Config{}, "s", Location{Subnet: netip.MustParsePrefix("10.77.5.0/24")}, smolvm.Version{Major: 1, Minor: 9})
	if len(p.Allow) != 1 || !p.Allow[0].IsSingleIP() || p.Allow[0].Addr() != p.Bundle || p.Allow[0].Contains(p.Gateway) {
		t.Errorf("allowlist %v, bundle %s, gateway %s", p.Allow, p.Bundle, p.Gateway)
	}
}

// TestPlanOfAnAlias has a row per backend and runtime: what the guest dials, and where that is inside the bundle.
func TestPlanOfAnAlias(t *testing.T) {
	subnet := netip.MustParsePrefix("10.77.5.0/24")
	loopback, private, container, own := loop(16), netip.MustParseAddr("10.78.1.1"), netip.MustParseAddr("10.77.5.2"), loop(1)
	ports := map[uint16]uint16{canaryPort: 40001, proxyPort: 40002}
	for name, tc := range map[string]struct {
		version        smolvm.Version
		at             Location
		proxyInside    netip.AddrPort
		egressInBundle netip.AddrPort
	}{
		"tsi, container":    {smolvm.Version{Minor: 8}, Location{Subnet: subnet, Alias: loopback}, netip.AddrPortFrom(container, proxyPort), netip.AddrPortFrom(container, egressPort)},
		"virtio, container": {smolvm.Version{Major: 1, Minor: 9}, Location{Subnet: subnet, Alias: private}, netip.AddrPortFrom(container, proxyPort), netip.AddrPortFrom(container, egressPort)},
		"tsi, machine":      {smolvm.Version{Minor: 8}, Location{Runtime: Machine, Alias: loopback}, netip.AddrPortFrom(loopback, 40002), netip.AddrPortFrom(loopback, egressPort)},
		"tsi, machine on virtio": {
			smolvm.Version{Major: 1, Patch: 4}, Location{Runtime: Machine, Alias: loopback}, netip.AddrPortFrom(own, proxyPort), netip.AddrPortFrom(own, egressPort),
		},
		"virtio, machine": {smolvm.Version{Major: 1, Minor: 9}, Location{Runtime: Machine, Alias: private}, netip.AddrPortFrom(own, proxyPort), netip.AddrPortFrom(own, egressPort)},
	} {
		t.Run(name, func(t *testing.T) {
			tc.at.Topology, tc.at.Ports = Alias, ports
			p := NewPlan(Config{Daemons: []string{"proxy", "egress"}}, "s", tc.at, tc.version)
			proxy := netip.AddrPortFrom(tc.at.Alias, 40002)
			if p.Bundle != tc.at.Alias || len(p.Allow) != 1 || p.Allow[0] != netip.PrefixFrom(tc.at.Alias, 32) || p.At(proxyPort) != proxy {
				t.Errorf("what the guest dials: %s", p)
			}
			if p.GuestEnv[0] != "HTTP_PROXY=http://"+proxy.String() {
				t.Errorf("the proxy is said to be at %q", p.GuestEnv[0])
			}
			if at := p.At(egressPort); at != netip.AddrPortFrom(tc.at.Alias, egressPort) {
				t.Errorf("the egress daemon, published nowhere, is looked for at %s", at)
			}
			if p.inside(proxyPort) != tc.proxyInside || p.behind(proxy) != tc.proxyInside || p.behind(p.At(egressPort)) != tc.egressInBundle {
				t.Errorf("inside the bundle: %s, %s, %s", p.inside(proxyPort), p.behind(proxy), p.behind(p.At(egressPort)))
			}
			if p.Besides != nil {
				t.Errorf("a list of loopback only, or of a newer release, has nothing added to it: %v", p.Besides)
			}
		})
	}
}

// TestPublishedEgressIsDialledThere: a bundle broken by publishing its egress may do so under any number, and is not to stay
// green for that.
func TestPublishedEgressIsDialledThere(t *testing.T) {
	at := Location{Topology: Alias, Runtime: Machine, Alias: loop(16), Ports: map[uint16]uint16{canaryPort: 40001}}
	v := smolvm.Version{Major: 1, Minor: 9}
	for name, tc := range map[string]struct {
		published uint16
		want      []uint16
	}{
		"nowhere":              {0, []uint16{egressPort}},
		"under its own number": {egressPort, []uint16{egressPort}},
		"under another's":      {40003, []uint16{egressPort, 40003}},
	} {
		at.Ports[egressPort] = tc.published
		if tc.published == 0 {
			delete(at.Ports, egressPort)
		}
		b := &Bottle{side: &fakeSidecar{}, plan: NewPlan(Config{}, "s", at, v)}
		var got []uint16
		for _, target := range b.closedTargets() {
			got = append(got, target.Addr.Port())
		}
		if diff := cmp.Diff(tc.want, got); diff != "" {
			t.Errorf("published %s: %s", name, diff)
		}
	}
}
