package bottletest

import (
	"testing"

	"bottle.internal/probes"
)

// maxAgentKiB is what the agent may take of a guest's memory, which may be small.
const maxAgentKiB = 20 << 10

// TestWholeCatalogueFits runs the biggest batch that there is, all probes at once, and asks the agent what memory it took.
func TestWholeCatalogueFits(t *testing.T) {
	for _, version := range []string{"0.8.0", "1.9.3"} {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			b := Start(t, simulated(t, version, ""))
			rep, err := b.Probe(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			attempts := 0
			for _, f := range rep.Findings {
				attempts += len(f.Attempts)
			}
			if len(rep.Findings) != len(probes.All()) || rep.Guest == nil || rep.Guest.PeakKiB == 0 {
				t.Fatalf("%d findings, guest %+v", len(rep.Findings), rep.Guest)
			}
			t.Logf("%d attempts: %d KiB at most", attempts, rep.Guest.PeakKiB)
			if rep.Guest.PeakKiB > maxAgentKiB {
				t.Errorf("the agent took %d KiB, want at most %d", rep.Guest.PeakKiB, maxAgentKiB)
			}
		})
	}
}
