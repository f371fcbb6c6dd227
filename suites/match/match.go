// Package match has Gomega matchers over what probes found. Their failure messages show the evidence: attempts, controls and
// sightings, so that a red line can be acted on without running it again.
package match

import (
	"fmt"
	"slices"

	"github.com/onsi/gomega/gcustom"
	"github.com/onsi/gomega/types"

	"bottle.internal/probes"
)

// BeContained succeeds when a probes.Finding is contained: every control held and no canary saw a nonce. Inconclusive is not
// contained.
func BeContained() types.GomegaMatcher { return HaveVerdict(probes.Contained) }

// HaveLeaked succeeds when a probes.Finding is a leak: a canary saw a nonce that it should not have seen.
func HaveLeaked() types.GomegaMatcher { return HaveVerdict(probes.Leak) }

// BeExposed succeeds when a probes.Finding is a leak under waivers that are live: known, named, and not red. The waivers have to
// be on the finding; a verdict alone is nobody's word.
func BeExposed() types.GomegaMatcher {
	return gcustom.MakeMatcher(func(f probes.Finding) (bool, error) {
		if f.Verdict == probes.Exposed && len(f.Waivers) == 0 {
			return false, fmt.Errorf("the finding is exposed, and no waiver is on it:\n%s", f)
		}
		return f.Verdict == probes.Exposed, nil
	}).WithTemplate("Expected the finding\n{{.Actual}}\n{{.To}} be exposed: a leak that live waivers cover")
}

// ReachVia succeeds when a probes.Finding shows that an allowance works by way of the target of that name: what came back bears a
// proof that only that target could make. A finding of a probe that expects a denial is an error, in ShouldNot too.
func ReachVia(name string) types.GomegaMatcher {
	return gcustom.MakeMatcher(func(f probes.Finding) (bool, error) {
		if f.Expect != probes.Reach {
			return false, fmt.Errorf("%s does not ask whether anything is reached, it expects %q:\n%s", f.ID, f.Expect, f)
		}
		return f.Verdict == probes.Contained && slices.Contains(provedBy(f), name), nil
	}).WithTemplate("Expected the finding\n{{.Actual}}\n{{.To}} be proved by target {{printf \"%q\" .Data}}", name)
}

// provedBy are the targets whose proofs came back.
func provedBy(f probes.Finding) []string {
	var names []string
	for _, a := range f.Attempts {
		if a.Proved {
			names = append(names, a.Target)
		}
	}
	return names
}

// HaveVerdict succeeds when a probes.Finding has the verdict v.
func HaveVerdict(v probes.Verdict) types.GomegaMatcher {
	return gcustom.MakeMatcher(func(f probes.Finding) (bool, error) {
		return f.Verdict == v, nil
	}).WithTemplate("Expected the finding\n{{.Actual}}\n{{.To}} have the verdict {{.Data}}", v)
}

var reds = []probes.Verdict{probes.Leak, probes.Overblocked, probes.Inconclusive, probes.Error}

// TurnRed is the opposite of a proof: it succeeds when a probes.Finding of a broken bottle is red, a leak, overblocked,
// inconclusive or an error. It fails on contained and on everything that could be read as green.
func TurnRed() types.GomegaMatcher {
	return gcustom.MakeMatcher(func(f probes.Finding) (bool, error) {
		return slices.Contains(reds, f.Verdict), nil
	}).WithTemplate("Expected the finding\n{{.Actual}}\n{{.To}} be one of {{.Data}}: a broken bottle that stays green", reds)
}
