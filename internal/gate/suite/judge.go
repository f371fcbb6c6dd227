package suite

import (
	"fmt"
	"slices"
	"strings"

	"bottle.internal/internal/gate/host"
	"bottle.internal/internal/gate/tally"
)

// A Bottle is what a report's "bottle" entry says the results are about.
type Bottle struct {
	Engine   string `json:"engine"` // "smolvm 0.8.0 (simulated)"
	Backend  string `json:"backend"`
	Topology string `json:"topology"`
	Bundle   string `json:"bundle"` // the bundle's runtime
}

// A Broken is what a report's "broken" entry says of one claim about one bottle broken on purpose.
type Broken struct {
	Mutant      string `json:"mutant"`
	Spec        string `json:"spec"`
	Personality string `json:"personality"`
	Verdict     string `json:"verdict"`
	Reason      string `json:"reason"`
}

// red are the verdicts a broken bottle may get.
var red = []string{"leak", "inconclusive", "overblocked", "error"}

// A Result is one run of one suite on one variant of a bottle.
type Result struct {
	Suite   string
	Variant host.Variant
	Bottles []Bottle // what it was about, each once
	Broken  []Broken // of the teeth suite only
	Ran, Of int      // specs executed, and how many the suite has
	Tally   tally.Tally
	Seconds float64
}

// group names a run in the account.
func group(suite string, v host.Variant) string {
	if v == (host.Variant{}) {
		return suite
	}
	return suite + " on " + v.String()
}

// judge holds a report to what was asked for. simulated and v are what the bottles had to be; exit is the test process's.
func judge(suite string, simulated bool, v host.Variant, report *tally.SuiteReport, exit error) Result {
	name := group(suite, v)
	report.SuiteDescription = name
	r := Result{Suite: suite, Variant: v, Tally: report.Tally(), Ran: report.Ran(), Of: report.PreRunStats.TotalSpecs}
	fail := func(format string, args ...any) { r.Tally.Fail(name, "", fmt.Sprintf(format, args...)) }

	bottles, err := tally.Entries[Bottle](report, "bottle")
	if err != nil {
		fail("%v", err)
	}
	for _, b := range bottles {
		if slices.Contains(r.Bottles, b) {
			continue
		}
		r.Bottles = append(r.Bottles, b)
		if why := b.wrong(simulated, v); why != "" {
			fail("%s", why)
		}
	}
	if suite == Teeth {
		r.judgeTeeth(report, fail)
	}
	if len(r.Tally.Failures) > 0 {
		return r
	}
	switch {
	case exit != nil:
		fail("every spec passed, and yet: %v", exit)
	case r.Ran == 0:
		fail("no spec was executed, which proves nothing")
	case len(r.Bottles) == 0:
		fail("the report has no %q entry: a run that does not say what it was about proves nothing", "bottle")
	}
	return r
}

// wrong says in what way b is not the bottle that was asked for.
func (b Bottle) wrong(simulated bool, v host.Variant) string {
	if b.Engine == "" || b.Backend == "" || b.Topology == "" || b.Bundle == "" {
		return fmt.Sprintf("the bottle entry %+v leaves something open", b)
	}
	if strings.Contains(b.Engine, "simulated") != simulated {
		return fmt.Sprintf("the run was asked of an engine simulated=%t, the report is about %q", simulated, b.Engine)
	}
	if v.Personality != "" && !slices.Contains(strings.Fields(b.Engine), v.Personality) {
		return fmt.Sprintf("the run was asked of personality %s, the report is about %q", v.Personality, b.Engine)
	}
	if v.Topology != "" && b.Topology != v.Topology {
		return fmt.Sprintf("the run was asked of topology %s, the report is about %q", v.Topology, b.Topology)
	}
	if !strings.HasPrefix(b.Bundle, v.Runtime) {
		return fmt.Sprintf("the run was asked of a bundle in a %s, the report is about %q", v.Runtime, b.Bundle)
	}
	return ""
}

func (r *Result) judgeTeeth(report *tally.SuiteReport, fail func(string, ...any)) {
	broken, err := tally.Entries[Broken](report, "broken")
	if err != nil {
		fail("%v", err)
	}
	r.Broken = broken
	if len(broken) == 0 {
		fail("the report has no %q entry: nothing was shown to have teeth", "broken")
	}
	for _, b := range broken {
		if !slices.Contains(red, b.Verdict) {
			fail("%s: %s is %q in a bottle that does not hold; want one of %s", b.Mutant, b.Spec, b.Verdict, strings.Join(red, ", "))
		}
	}
}
