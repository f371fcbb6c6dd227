//go:build linux

package sim

import (
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"bottle.internal/smolvm/sim/vnet"
	"github.com/google/go-cmp/cmp"
)

// atRelease are the features of any release, simulated by name or not.
func atRelease(t *testing.T, s string) features {
	t.Helper()
	r, err := parseRelease(s)
	if err != nil {
		t.Fatal(err)
	}
	return featuresOf(r)
}

func TestBackendOfARelease(t *testing.T) {
	const refused = "refused"
	for _, c := range []struct {
		release, asked string
		policy         bool
		want           string
	}{
		{"0.8.0", "", false, "tsi"}, {"0.8.0", "", true, "tsi"}, {"0.8.0", "virtio-net", false, "virtio-net"},
		{"0.8.0", "virtio-net", true, refused}, {"0.8.0", "tsi", true, "tsi"},
		{"1.0.2", "", true, "tsi"}, {"1.0.2", "virtio-net", true, "virtio-net"},
		{"1.1.2", "", true, "tsi"}, {"1.1.2", "tsi", true, "tsi"},
		{"1.1.3", "", false, "tsi"}, {"1.1.3", "", true, "virtio-net"}, {"1.1.3", "tsi", true, refused}, {"1.1.3", "tsi", false, "tsi"},
		{"1.9.3", "", false, "tsi"}, {"1.9.3", "", true, "virtio-net"}, {"1.9.3", "tsi", true, refused}, {"1.9.3", "virtio-net", true, "virtio-net"},
	} {
		got, err := atRelease(t, c.release).backend(record{Network: true, Policy: c.policy, Backend: c.asked}, nil)
		if err != nil {
			got = refused
			if f := new(failure); !errors.As(err, &f) || !strings.Contains(f.text, "net-backend") {
				t.Errorf("%+v: %v", c, err)
			}
		}
		if string(got) != c.want {
			t.Errorf("%+v: got %s", c, got)
		}
	}
}

func TestNetworkOfARelease(t *testing.T) {
	policy := record{Name: "m", Network: true, Policy: true, Allow: []string{"172.20.0.2/32"}}
	open := record{Name: "m", Network: true}
	one := prefixes("172.20.0.2/32")
	everywhere := []netip.Addr{netip.IPv4Unspecified()}
	for _, c := range []struct {
		what, release string
		record        record
		env           environ
		want          vnet.Config
	}{
		{"0.8.0 lets 1.1.1.1 through", "0.8.0", policy, nil,
			vnet.Config{Backend: vnet.TSI, Restrict: true, Allow: append(slices.Clone(one), prefixes("1.1.1.1/32")...), Machine: "m"}},
		{"0.8.0 without a policy", "0.8.0", open, nil, vnet.Config{Backend: vnet.TSI, Machine: "m"}},
		{"0.8.0 knows no floor", "0.8.0", open, environ{"SMOLVM_EGRESS_FLOOR": "strict", "SMOLVM_PUBLISH_ADDR": "::1"}, vnet.Config{Backend: vnet.TSI, Machine: "m"}},
		{"1.1.3", "1.1.3", policy, nil,
			vnet.Config{Backend: vnet.VirtioNet, Restrict: true, Allow: one, Floor: metadataFloor, Machine: "m"}},
		{"1.9.3", "1.9.3", policy, environ{"SMOLVM_SIM_WORLD": "/w"},
			vnet.Config{Backend: vnet.VirtioNet, Restrict: true, Allow: one, Floor: metadataFloor, HostGateway: true, NameHost: true, FailFast: true, World: "/w", Machine: "m"}},
		{"1.9.3 --net only", "1.9.3", open, nil, vnet.Config{Backend: vnet.TSI, Floor: metadataFloor, Machine: "m"}},
		{"fleet mode is strict", "1.1.3", policy, environ{"SMOLVM_PUBLISH_ADDR": "0.0.0.0"},
			vnet.Config{Backend: vnet.VirtioNet, Restrict: true, Allow: one, Floor: strictFloor, Machine: "m", PublishAt: everywhere}},
		{"allow private wins over fleet mode", "1.1.3", policy, environ{"SMOLVM_PUBLISH_ADDR": "0.0.0.0", "SMOLVM_EGRESS_ALLOW_PRIVATE": "1"},
			vnet.Config{Backend: vnet.VirtioNet, Restrict: true, Allow: one, Machine: "m", PublishAt: everywhere}},
		{"the floor variable wins over all", "1.9.3", policy,
			environ{"SMOLVM_EGRESS_FLOOR": "strict", "SMOLVM_EGRESS_ALLOW_PRIVATE": "1"},
			vnet.Config{Backend: vnet.VirtioNet, Restrict: true, Allow: one, Floor: strictFloor, HostGateway: true, NameHost: true, FailFast: true, Machine: "m"}},
	} {
		got, err := atRelease(t, c.release).network(c.record, c.env)
		if err != nil {
			t.Errorf("%s: %v", c.what, err)
			continue
		}
		if diff := cmp.Diff(&c.want, got, cmp.Comparer(func(a, b netip.Prefix) bool { return a == b }),
			cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.what, diff)
		}
	}
}

func TestResolverIsNotAddedWhereItIsCoveredOrPointless(t *testing.T) {
	f := atRelease(t, "0.8.0")
	for _, list := range [][]string{{"1.1.1.0/24"}, {"0.0.0.0/0"}, {"127.0.0.0/8", "::1/128"}} {
		if got := f.withResolver(prefixes(list...)); len(got) != len(list) {
			t.Errorf("%v became %v", list, got)
		}
	}
}

func TestDifferencesAreInOrder(t *testing.T) {
	if !slices.IsSortedFunc(differences, func(a, b difference) int { return slices.Compare(a.since[:], b.since[:]) }) {
		t.Error("a later row may be overwritten by an earlier release's")
	}
	for _, d := range differences {
		after := baseline
		for _, row := range differences {
			if d.since.atLeast(row.since) && row.why != d.why {
				row.apply(&after)
			}
		}
		changed := after
		d.apply(&changed)
		if changed == after {
			t.Errorf("%s %q changes nothing", d.since, d.why)
		}
	}
}

// A wrong mask opens exactly the addresses that it covers, whatever the backend makes of the policy.
func TestMisreadPrefixes(t *testing.T) {
	allow := prefixes("172.30.2.10/32", "10.0.0.0/8", "2001:db8::1/128")
	for fault, want := range map[fault][]netip.Prefix{
		faultPrefixWide: append(slices.Clone(allow), prefixes("172.30.2.10/31")...),
		faultMaskHoles:  append(slices.Clone(allow), prefixes("172.31.2.10/32", "172.30.3.10/32", "172.31.3.10/32")...),
		faultHostname:   allow,
	} {
		c := vnet.Config{Restrict: true, Allow: slices.Clone(allow)}
		faults{fault}.breakNetwork(&c)
		if !slices.Equal(c.Allow, want) {
			t.Errorf("%s: %v, want %v", fault, c.Allow, want)
		}
	}
}
