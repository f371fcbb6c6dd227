package bottletest

import (
	"net/netip"
	"strings"
	"testing"

	"bottle.internal/probes"
)

// boundary is the whole family.
const boundary = "policy.boundary.*"

// TestBoundaryHolds compares the policy of a strict bottle with the model's on either backend.
func TestBoundaryHolds(t *testing.T) {
	for _, version := range []string{"0.8.0", "1.0.4", "1.9.3"} {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			b := Start(t, simulated(t, version, ""))
			rep, err := b.ProbeWith(t.Context(), probes.Options{Seed: 7}, boundary)
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range rep.Findings {
				if f.Verdict != probes.Contained || f.Simplest != "" {
					t.Errorf("%s", f)
				}
			}
			if len(rep.Findings) != 4 || rep.Seed != 7 {
				t.Errorf("%d findings, drawn by seed %d", len(rep.Findings), rep.Seed)
			}
		})
	}
}

// TestBoundaryBroken breaks what the policy compares, and sees the neighbours found that it opens, brought down to one of one bit.
func TestBoundaryBroken(t *testing.T) {
	for _, c := range []struct {
		version, fault, id string
		verdict            probes.Verdict
		xor                netip.Addr // what the simplest case has changed of the allowed address
	}{
		{"0.8.0", "prefix-wide", "policy.boundary.tcp", probes.Leak, netip.MustParseAddr("0.0.0.1")},
		{"1.9.3", "prefix-wide", "policy.boundary.udp", probes.Leak, netip.MustParseAddr("0.0.0.1")},
		{"0.8.0", "mask-holes", "policy.boundary.udp", probes.Leak, netip.MustParseAddr("0.0.1.0")},
		{"1.9.3", "mask-holes", "policy.boundary.tcp", probes.Leak, netip.MustParseAddr("0.0.1.0")},
		{"0.8.0", "no-network", "policy.boundary.allowed", probes.Overblocked, netip.IPv4Unspecified()},
	} {
		t.Run(c.version+" "+c.fault, func(t *testing.T) {
			t.Parallel()
			cfg := simulated(t, c.version, "")
			cfg.Sim.Faults, cfg.Ungated = []string{c.fault}, true
			b := Start(t, cfg)
			rep, err := b.Probe(t.Context(), c.id)
			if err != nil {
				t.Fatal(err)
			}
			f := rep.Findings[0]
			simplest := flipped(b.Plan().Bundle, c.xor)
			if f.Verdict != c.verdict || !strings.HasPrefix(f.Simplest, "tcp "+simplest.String()+":") {
				t.Errorf("%s\nwant %s, simplest %s", f, c.verdict, simplest)
			}
			if !strings.HasPrefix(f.Again, "bottle-probe dial "+simplest.String()+":") || !strings.Contains(f.Again, " --machine "+b.Plan().Machine+" ") {
				t.Errorf("again: %s", f.Again)
			}
		})
	}
}

func flipped(a, xor netip.Addr) netip.Addr {
	b, x := a.As4(), xor.As4()
	for i := range b {
		b[i] ^= x[i]
	}
	return netip.AddrFrom4(b)
}

func TestResolversIn(t *testing.T) {
	got := resolversIn("# nameserver 9.9.9.9\nnameserver 10.0.0.2\n nameserver fe80::1%eth0\nnameserver\nnameserver x\noptions edns0\n")
	if len(got) != 2 || got[0].String() != "10.0.0.2/32" || got[1].String() != "fe80::1/128" {
		t.Errorf("%v", got)
	}
}
