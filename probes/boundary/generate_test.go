package boundary

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var comparable = cmp.Comparer(func(a, b Case) bool { return a == b })

// Whatever the policy and the seed: the cases are bounded, each is there once, each is predicted, and the same seed gives the same.
func TestGenerateHolds(t *testing.T) {
	for name, m := range models {
		for seed := range uint64(20) {
			all := Generate(m, 8080, seed)
			if diff := cmp.Diff(all, Generate(m, 8080, seed), comparable); diff != "" {
				t.Fatalf("%s: seed %d gives two lists:\n%s", name, seed, diff)
			}
			if len(all) > Most || (len(all) == 0) != (len(m.Allow)+len(m.Unasked) == 0) {
				t.Errorf("%s: seed %d gives %d cases", name, seed, len(all))
			}
			seen := make(map[Flow]bool)
			for _, c := range all {
				if seen[c.Flow] || m.Predict(c.Flow) == Unspecified || c.How == "" || !c.Entry.IsValid() || c.Addr.Zone() != "" {
					t.Errorf("%s: seed %d: %+v", name, seed, c)
				}
				seen[c.Flow] = true
			}
		}
	}
}

// Another seed draws other addresses, and derives the same from the entries.
func TestSeedDraws(t *testing.T) {
	m := models["0.8.0"]
	one, two := flowsOf(Generate(m, 8080, 1)), flowsOf(Generate(m, 8080, 2))
	same := 0
	for f := range one {
		if two[f] {
			same++
		}
	}
	if same == len(one) || same < len(one)/2 {
		t.Errorf("%d of %d are the same with another seed", same, len(one))
	}
}

func flowsOf(all []Case) map[Flow]bool {
	set := make(map[Flow]bool)
	for _, c := range all {
		set[c.Flow] = true
	}
	return set
}

// What a boundary is made of is there around every entry, on both sides.
func TestGenerateHasTheNeighbours(t *testing.T) {
	for _, c := range []struct {
		model string
		flows []Flow
	}{
		{"0.8.0", []Flow{
			tcp("172.30.2.9", 0), tcp("172.30.2.11", 0), tcp("172.30.2.0", 0), tcp("172.30.2.255", 0), tcp("172.30.3.10", 0), tcp("172.30.1.10", 0),
			tcp("172.31.2.10", 0), tcp("44.30.2.10", 0), tcp("10.2.30.172", 0), tcp("172.30.2.8", 0), tcp("172.30.2.11", 8081), tcp("172.30.2.11", 53),
			tcp("::ffff:172.30.2.9", 0), tcp("::172.30.2.10", 0), tcp("64:ff9b::172.30.2.10", 0), tcp("2002:ac1e:20a::1", 0),
			tcp("1.1.1.0", 0), tcp("1.1.1.2", 0), {UDP, netip.MustParseAddr("172.30.2.11"), 443}, {ICMP, netip.MustParseAddr("172.30.2.11"), 0},
		}},
		{"wide", []Flow{
			tcp("9.255.255.255", 0), tcp("10.0.0.0", 0), tcp("10.255.255.255", 0), tcp("11.0.0.0", 0), tcp("192.0.2.127", 0), tcp("192.0.3.0", 0),
			tcp("2001:db7:ffff:ffff:ffff:ffff:ffff:ffff", 0), tcp("2001:db9::", 0),
		}},
	} {
		have := flowsOf(Generate(models[c.model], 8080, 1))
		for _, f := range c.flows {
			if !have[f] {
				t.Errorf("%s: %s %s port %d is not tried", c.model, f.Network, f.Addr, f.Port)
			}
		}
	}
}

func tcp(addr string, port uint16) Flow { return Flow{TCP, netip.MustParseAddr(addr), port} }

func TestParseLoose(t *testing.T) {
	for text, want := range map[string]string{
		"172.30.2.10": "172.30.2.10", "172.30.2.010": "172.30.2.8", "0254.036.02.012": "172.30.2.10", "0xac1e020a": "172.30.2.10", "0XAC.30.522": "172.30.2.10",
		"2887647754": "172.30.2.10", "172.1966602": "172.30.2.10", "0": "0.0.0.0", "1.2.3": "1.2.0.3",
		"": "", "1.2.3.4.5": "", "256.1.1.1": "", "1.2.65536": "", "08.1.1.1": "", "0b1.1.1.1": "", "0o7.1.1.1": "", "1_0.1.1.1": "", "0x1_0": "", "4294967296": "", "a.b": "", "1..2": "", "-1": "",
	} {
		got, ok := ParseLoose(text)
		if ok != (want != "") || ok && got.String() != want {
			t.Errorf("%q: %s, %t; want %q", text, got, ok, want)
		}
	}
}

// An address survives each of its spellings, and the first texts mean it.
func TestSpellingsComeBack(t *testing.T) {
	for _, text := range []string{"172.30.2.10", "1.1.1.1", "255.254.253.252", "8.8.8.8"} {
		ip := netip.MustParseAddr(text)
		for _, s := range spellings {
			if back, ok := inside(s.spell(ip)); !ok || back != ip {
				t.Errorf("%s as %s %s comes back as %s", ip, s.how, s.spell(ip), back)
			}
		}
		for _, written := range texts(ip)[:5] {
			if back, ok := ParseLoose(written); !ok || back != ip {
				t.Errorf("%s written %q is read as %s", ip, written, back)
			}
		}
	}
	for _, text := range []string{"172.30.2.10", "2001:db8::1", "64:ff9b:1::1", "2002:ac1e:20a::2"} {
		if _, ok := inside(netip.MustParseAddr(text)); ok {
			t.Errorf("%s is taken for a spelling", text)
		}
	}
}
