package match_test

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/onsi/gomega/types"

	"bottle.internal/internal/echo"
	"bottle.internal/probes"
	"bottle.internal/suites/match"
)

func finding(e probes.Expect, v probes.Verdict) probes.Finding {
	return probes.Finding{
		ID: "net.tcp.x", Expect: e, Verdict: v, Assurance: probes.L2, Reason: "the reason",
		Controls: []probes.Control{{ID: "C2", State: probes.Held, Text: "the path"}},
		Attempts: []probes.Attempt{{
			Target: "bundle", Address: netip.MustParseAddrPort("192.0.2.7:8888"), Round: 1, Observation: probes.Reachable,
			Sightings: []echo.Sighting{{Name: "bundle", Peer: "192.0.2.9:1"}}, Nonce: "0123456789abcdef0123456789abcdef",
		}},
	}
}

func waived(f probes.Finding) probes.Finding {
	f.Waivers = []probes.Waiver{{ID: "net.tcp.*", Target: "*", Expected: probes.Reachable, Reason: "known", Owner: "us"}}
	return f
}

func proved(f probes.Finding, by ...string) probes.Finding {
	a := f.Attempts[0]
	a.Proved = true
	for _, name := range by {
		a.Target = name
		f.Attempts = append(f.Attempts, a)
	}
	return f
}

func TestMatch(t *testing.T) {
	reach := finding(probes.Reach, probes.Contained)
	for name, c := range map[string]struct {
		matcher types.GomegaMatcher
		actual  any
		want    bool
		err     bool
	}{
		"exposed":                 {match.BeExposed(), waived(finding(probes.Contain, probes.Exposed)), true, false},
		"exposed by nobody":       {match.BeExposed(), finding(probes.Contain, probes.Exposed), false, true},
		"a leak":                  {match.BeExposed(), waived(finding(probes.Contain, probes.Leak)), false, false},
		"contained":               {match.BeExposed(), finding(probes.Contain, probes.Contained), false, false},
		"exposed is no leak":      {match.HaveLeaked(), waived(finding(probes.Contain, probes.Exposed)), false, false},
		"exposed is uncontained":  {match.BeContained(), waived(finding(probes.Contain, probes.Exposed)), false, false},
		"no finding":              {match.BeExposed(), "exposed", false, true},
		"by the bundle":           {match.ReachVia("bundle"), proved(reach, "bundle"), true, false},
		"by the bundle, at last":  {match.ReachVia("bundle"), proved(reach, "other", "bundle"), true, false},
		"by another":              {match.ReachVia("bundle"), proved(reach, "other"), false, false},
		"seen and not proved":     {match.ReachVia("bundle"), reach, false, false},
		"proved and overblocked":  {match.ReachVia("bundle"), proved(finding(probes.Reach, probes.Overblocked), "bundle"), false, false},
		"inconclusive":            {match.ReachVia("bundle"), proved(finding(probes.Reach, probes.Inconclusive), "bundle"), false, false},
		"a denial that held":      {match.ReachVia("bundle"), proved(finding(probes.Contain, probes.Contained), "bundle"), false, true},
		"a leak is not reach":     {match.ReachVia("bundle"), proved(finding(probes.Contain, probes.Leak), "bundle"), false, true},
		"no finding for reaching": {match.ReachVia("bundle"), probes.Report{}, false, true},
	} {
		got, err := c.matcher.Match(c.actual)
		if got != c.want || (err != nil) != c.err {
			t.Errorf("%s: %t, %v", name, got, err)
		}
	}
}

// A red line has the evidence in it: verdict, reason, controls, attempts, sightings, waivers; and what was expected.
func TestMessagesShowTheEvidence(t *testing.T) {
	f := waived(finding(probes.Reach, probes.Leak))
	evidence := []string{"net.tcp.x: leak L2", "the reason", "C2 held: the path", "192.0.2.7:8888 reachable, seen 1× from 192.0.2.9:1", "at bundle, nonce 01234567", "waived: net.tcp.*"}
	for want, m := range map[string]types.GomegaMatcher{
		" be exposed: a leak that live waivers cover":                       match.BeExposed(),
		` be proved by target "bundle"`:                                     match.ReachVia("bundle"),
		" have the verdict contained":                                       match.BeContained(),
		" be one of [leak overblocked inconclusive error]: a broken bottle": match.TurnRed(),
	} {
		if _, err := m.Match(f); err != nil {
			t.Fatal(err)
		}
		for to, message := range map[string]string{"to": m.FailureMessage(f), "not to": m.NegatedFailureMessage(f)} {
			for _, part := range append([]string{"\n" + to + want}, evidence...) {
				if !strings.Contains(message, part) {
					t.Errorf("%q is not in\n%s", part, message)
				}
			}
		}
	}
	for name, m := range map[string]types.GomegaMatcher{"exposed by nobody": match.BeExposed(), "a denial": match.ReachVia("bundle")} {
		_, err := m.Match(finding(probes.Contain, probes.Exposed))
		if err == nil || !strings.Contains(err.Error(), evidence[3]) {
			t.Errorf("%s: %v shows no evidence", name, err)
		}
	}
}
