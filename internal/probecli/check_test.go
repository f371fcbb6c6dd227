package probecli

import (
	"strings"
	"testing"

	"bottle.internal/probes"
)

// A sandbox that gives no answer is told in a line, unless something came out of it all the same.
func TestMute(t *testing.T) {
	lost := probes.Finding{ID: "a", Verdict: probes.Error, Reason: "the container is gone"}
	leaked := probes.Finding{ID: "b", Verdict: probes.Leak}
	for name, c := range map[string]struct {
		rep  probes.Report
		mute bool
	}{
		"no answer":           {probes.Report{Findings: []probes.Finding{lost, lost}}, true},
		"no answer, a leak":   {probes.Report{Findings: []probes.Finding{lost, leaked}}, false},
		"an answer, an error": {probes.Report{Guest: &probes.Guest{}, Findings: []probes.Finding{lost}}, false},
	} {
		err := mute(c.rep)
		if (err != nil) != c.mute || err != nil && !strings.Contains(err.Error(), lost.Reason) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
