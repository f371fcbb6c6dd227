package bottletest

import (
	"testing"

	"bottle.internal/probes"
)

// localPatterns are the probes that need no network path.
var localPatterns = []string{
	"net.unix.*", "net.vsock.*", "net.af.*", "net.raw.tun", "net.inbound.*", "net.tcp.inherited-fds", "fs.*", "env.*", "cred.*", "kernel.*", "priv.*",
	"dev.*", "res.*", "proc.*",
}

// TestLocalWallsHold asks a strict bottle of either backend about everything that is not a network path. What means nothing on the
// simulator says why.
func TestLocalWallsHold(t *testing.T) {
	for _, version := range []string{"0.8.0", "1.9.3"} {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			b := Start(t, simulated(t, version, ""))
			rep, err := b.Probe(t.Context(), localPatterns...)
			if err != nil {
				t.Fatal(err)
			}
			held := 0
			for _, f := range rep.Findings {
				switch {
				case f.Verdict == probes.Contained:
					held++
				case f.Verdict != probes.NotApplicable || f.Reason == "":
					t.Errorf("%s", f)
				}
			}
			if held < 18 {
				t.Errorf("only %d of %d held:\n%s", held, len(rep.Findings), rep)
			}
		})
	}
}

// TestLocalWallsBroken breaks the simulator in the ways it can be broken beside its network, and sees the right probes find it.
func TestLocalWallsBroken(t *testing.T) {
	for fault, ids := range map[string][]string{
		"host-mount":    {"fs.host-canary.read", "fs.mounts.exact", "fs.symlink.escape", "net.unix.host-path", "net.unix.inventory"},
		"env-leak":      {"env.decoy"},
		"hostname-leak": {"cred.host-identity"},
		// Its port is published at addresses that are not the bottle's; the launch gate refuses it too.
		"publish-all-interfaces": {"net.inbound.sidecar"},
	} {
		t.Run(fault, func(t *testing.T) {
			t.Parallel()
			cfg := simulated(t, "1.9.3", "")
			cfg.Sim.Faults, cfg.Ungated = []string{fault}, true
			b := Start(t, cfg)
			rep, err := b.Probe(t.Context(), localPatterns...)
			if err != nil {
				t.Fatal(err)
			}
			red := make(map[string]bool)
			for _, id := range ids {
				red[id] = true
			}
			for _, f := range rep.Findings {
				if leaked := f.Verdict == probes.Leak; leaked != red[f.ID] || f.Verdict == probes.Inconclusive || f.Verdict == probes.Error {
					t.Errorf("a leak is wanted: %t\n%s", red[f.ID], f)
				}
			}
		})
	}
}
