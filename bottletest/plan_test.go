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
