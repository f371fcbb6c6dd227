package smolvm

import (
	"net/netip"
	"strings"
	"testing"

	"bottle.internal/smolvm/smolvmtest"
)

func TestEffectivePolicy(t *testing.T) {
	loopback := Network{LoopbackOnly: true}
	dns := Network{AllowCIDRs: []netip.Prefix{netip.MustParsePrefix("1.1.1.1/32")}}
	gateway := Network{AllowCIDRs: []netip.Prefix{netip.MustParsePrefix("100.96.0.0/30")}}
	hosts := Network{AllowHosts: []string{"api.example.com"}}
	for _, row := range []struct {
		release string
		o       CreateOptions
		backend Backend
		floor   Floor
		besides string // in the line of them, "" for none at all; a leading - for what must not be
	}{
		{"0.8.0", CreateOptions{}, "", FloorNone, ""},
		{"0.8.0", CreateOptions{Network: Network{Enabled: true}}, TSI, FloorNone, ""},
		{"0.8.0", CreateOptions{Network: policy}, TSI, FloorNone, "1.1.1.1, on every port"},
		{"0.8.0", CreateOptions{Network: dns}, TSI, FloorNone, "-1.1.1.1, on every port"},
		{"0.8.0", CreateOptions{Network: loopback}, TSI, FloorNone, "-1.1.1.1"},
		{"0.8.1", CreateOptions{Network: policy}, TSI, FloorNone, "the host's resolver"},
		{"1.0.4", CreateOptions{Network: policy}, TSI, FloorNone, "the host's resolver"},
		{"1.0.4", CreateOptions{Network: policy, Ports: []Port{{1, 1}}}, VirtioNet, FloorNone, "names"},
		{"1.0.4", CreateOptions{Network: Network{Enabled: true, Backend: VirtioNet}}, VirtioNet, FloorStrict, ""},
		{"1.1.2", CreateOptions{Network: policy}, TSI, FloorNone, "#427"},
		{"1.1.3", CreateOptions{Network: policy}, VirtioNet, FloorMetadata, "names"},
		{"1.3.3", CreateOptions{Network: Network{Enabled: true}}, TSI, FloorMetadata, ""},
		{"1.7.1", CreateOptions{Network: gateway}, VirtioNet, FloorMetadata, "-host's loopback"},
		{"1.7.2", CreateOptions{Network: gateway}, VirtioNet, FloorMetadata, "host's loopback"},
		{"1.9.3", CreateOptions{Network: hosts}, VirtioNet, FloorMetadata, "for the allowed names"},
		{"1.9.3", CreateOptions{Network: policy}, VirtioNet, FloorMetadata, "names: the gateway's resolver"},
	} {
		c, _ := scripted(t, row.release, smolvmtest.Reply{})
		if err := c.Create(t.Context(), "m", row.o); err != nil {
			t.Fatal(err)
		}
		p, err := c.EffectivePolicy(t.Context(), "m")
		if err != nil || p.How != KnownFlag || p.Backend != row.backend || p.Floor != row.floor {
			t.Errorf("%s, %v: %+v, %v", row.release, row.o.Network, p, err)
		}
		said := strings.Join(p.Besides, "; ")
		without, not := strings.CutPrefix(row.besides, "-")
		if row.besides == "" && said != "" || not == strings.Contains(said, without) && row.besides != "" {
			t.Errorf("%s, %v: besides %q, want %q", row.release, row.o.Network, said, row.besides)
		}
	}
}

func TestPolicyUnknown(t *testing.T) {
	changes := map[string]UpdateOptions{"network": {NoNet: true}, "port": {Ports: []Port{{1, 1}}}, "port removed": {RemovePorts: []Port{{1, 1}}}}
	c, _ := scripted(t, "1.9.3", make([]smolvmtest.Reply, 3+2*len(changes))...)
	unknown := func(when string) {
		t.Helper()
		if p, err := c.EffectivePolicy(t.Context(), "m"); err != nil || p.How != Unknown || p.String() != "policy unknown" {
			t.Errorf("%s: %v, %v", when, p, err)
		}
	}
	unknown("made elsewhere")
	if err := c.Create(t.Context(), "m", CreateOptions{Network: policy}); err != nil {
		t.Fatal(err)
	}
	if err := c.Update(t.Context(), "m", UpdateOptions{CPUs: 1}); err != nil {
		t.Fatal(err)
	}
	if p, _ := c.EffectivePolicy(t.Context(), "m"); p.How != KnownFlag {
		t.Errorf("%v after an update of the CPUs", p)
	}
	for what, o := range changes {
		if err := c.Create(t.Context(), "m", CreateOptions{Network: policy}); err != nil {
			t.Fatal(err)
		}
		if err := c.Update(t.Context(), "m", o); err != nil {
			t.Fatal(err)
		}
		unknown(what)
	}
	if err := c.Delete(t.Context(), "m"); err != nil {
		t.Fatal(err)
	}
	unknown("deleted")
}

// An allowlist that is empty gets a resolver added on TSI as every other does.
func TestDenyAllBesides(t *testing.T) {
	for v, want := range map[Version]string{release(0, 8, 0): "1.1.1.1, on every port", release(0, 8, 1): "the host's resolver", release(1, 1, 3): "names"} {
		p := effective(v, memory{network: Network{DenyAll: true}, how: KnownAPI})
		if !strings.Contains(p.String(), want) {
			t.Errorf("%s: %s", v, p)
		}
	}
}

// It says what was asked for and never that it holds.
func TestPolicyString(t *testing.T) {
	p := effective(release(0, 8, 0), memory{network: Network{AllowCIDRs: policy.AllowCIDRs, AllowHosts: []string{"a"}, LoopbackOnly: true}, how: KnownFlag})
	got := p.String()
	if !strings.HasPrefix(got, "only 10.77.0.2/32, a, loopback (known by flag), smolvm 0.8.0, tsi, floor off; besides: 1.1.1.1") || strings.Contains(got, "holds") {
		t.Error(got)
	}
	for want, n := range map[string]Network{"no network": {}, "any destination": {Enabled: true}} {
		if n.String() != want {
			t.Errorf("%q, want %q", n, want)
		}
	}
}
