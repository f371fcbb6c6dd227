// Package match has Gomega matchers over what probes found. Their failure messages show the evidence: attempts, controls and
// sightings, so that a red line can be acted on without running it again.
package match

import (
	"fmt"

	"github.com/onsi/gomega/gcustom"
	"github.com/onsi/gomega/types"

	"bottle.internal/probes"
)

// BeContained succeeds when a probes.Finding is contained: every control held and no canary saw a nonce. Inconclusive is not
// contained.
func BeContained() types.GomegaMatcher { return HaveVerdict(probes.Contained) }

// HaveLeaked succeeds when a probes.Finding is a leak: a canary saw a nonce that it should not have seen.
func HaveLeaked() types.GomegaMatcher { return HaveVerdict(probes.Leak) }

// HaveVerdict succeeds when a probes.Finding has the verdict v.
func HaveVerdict(v probes.Verdict) types.GomegaMatcher {
	return gcustom.MakeMatcher(func(f probes.Finding) (bool, error) {
		return f.Verdict == v, nil
	}).WithTemplate("Expected the finding\n{{.FormattedActual}}\n{{.To}} have the verdict {{.Data}}").WithTemplateData(v)
}

// TurnRed is the opposite of a proof: it succeeds when a probes.Finding of a broken bottle is red, a leak, overblocked,
// inconclusive or an error. It fails on contained and on everything that could be read as green.
func TurnRed() types.GomegaMatcher {
	return gcustom.MakeMatcher(func(f probes.Finding) (bool, error) {
		switch f.Verdict {
		case probes.Leak, probes.Overblocked, probes.Inconclusive, probes.Error:
			return true, nil
		}
		return false, nil
	}).WithMessage(fmt.Sprintf("be %s, %s, %s or %s: a broken bottle that stays green", probes.Leak, probes.Overblocked, probes.Inconclusive, probes.Error))
}
