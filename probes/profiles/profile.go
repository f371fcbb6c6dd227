package profiles

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"bottle.internal/probes"
)

// A Profile is what is demanded of a report. The zero Profile demands no assurance, waives nothing and tolerates nothing
// inconclusive. It is not changed by its methods, which may be called concurrently.
type Profile struct {
	Name        string
	Description string
	// Since and Through are the first and the last release of smolvm that it is about; "" is none in particular.
	Since, Through string
	// Require is the least assurance of a finding that is contained, by severity, as far as its probe can have it (probes.Probe.Most). A
	// severity without a level demands nothing.
	Require map[probes.Severity]probes.Assurance
	// MaxInconclusivePercent is how many of the findings that mean something may be inconclusive before the report is invalid.
	// 0 is none at all. Load takes 20 where a file says nothing.
	MaxInconclusivePercent int
	// Waivers are the leaks that are accepted. One that is not complete covers nothing and is noticed.
	Waivers []probes.Waiver
}

// Apply holds r against p at the time now and returns the outcome, with what is to be said about the waivers, at most one notice
// for each, in their order. It is a pure function and leaves r as it is. It is meant for the report of a run: waivers that
// another profile put there are looked at anew, and assurance that another found wanting stays wanting, and the report
// of a run that did not end stays invalid.
func (p Profile) Apply(r probes.Report, now time.Time) (probes.Report, []Notice) {
	b := open(p.Waivers, now, r.Simulated)
	r.Profile = p.Name
	r.Findings = slices.Clone(r.Findings)
	for i, f := range r.Findings {
		r.Findings[i] = p.demand(b.waive(f))
	}
	r.Invalid = cmp.Or(r.Fault, p.invalid(r.Findings))
	return r, b.notices()
}

// demand makes inconclusive what is contained without enough behind it.
func (p Profile) demand(f probes.Finding) probes.Finding {
	need := p.Require[f.Severity]
	if most := mostOf(f.ID); need != "" && meets(need, most) {
		need = most
	}
	if f.Verdict != probes.Contained || need == "" || meets(f.Assurance, need) {
		return f
	}
	have := "no assurance on record"
	if f.Assurance != "" {
		have = string(f.Assurance) + " only"
	}
	f.Verdict = probes.Inconclusive
	f.Reason = fmt.Sprintf("contained with %s, and profile %s requires %s of severity %s: %s; found: %s", have, p.Name, need, f.Severity, missing(f.Controls, need), f.Reason)
	return f
}

// mostOf is the assurance that a finding of the probe can have at most; a probe that the catalogue does not have can have any.
func mostOf(id string) probes.Assurance {
	p, err := probes.Lookup(id)
	if err != nil {
		return probes.L4
	}
	return p.Most()
}

// invalid is why a report of these findings says nothing as a whole, "" if it says something.
func (p Profile) invalid(all []probes.Finding) string {
	meant, open := 0, 0
	for _, f := range all {
		if f.Verdict != probes.NotApplicable {
			meant++
		}
		if f.Verdict == probes.Inconclusive {
			open++
		}
	}
	switch {
	case meant == 0:
		return "no probe was executed"
	case open*100 > p.MaxInconclusivePercent*meant:
		return fmt.Sprintf("%d of %d probes are inconclusive, more than %d %%", open, meant, p.MaxInconclusivePercent)
	}
	return ""
}

// levels are the levels of assurance with the controls that each adds to the one before, in the order in which they are missed.
var levels = []struct {
	level    probes.Assurance
	controls []string
}{
	{probes.L0, nil}, {probes.L1, []string{"C0", "C1", "C2"}}, {probes.L2, []string{"C4"}}, {probes.L3, []string{"C3"}}, {probes.L4, []string{"C5"}},
}

// meets reports whether have is need or more. What is no level meets nothing, and nothing meets it.
func meets(have, need probes.Assurance) bool { return rank(need) >= 0 && rank(have) >= rank(need) }

// rank orders levels; what is none is -1.
func rank(a probes.Assurance) int {
	for i, l := range levels {
		if l.level == a {
			return i
		}
	}
	return -1
}

// missing names the first control on the way to need that does not hold.
func missing(controls []probes.Control, need probes.Assurance) string {
	if rank(need) < 0 {
		return fmt.Sprintf("%q is no level of assurance", need)
	}
	for _, l := range levels[:rank(need)+1] {
		for _, id := range l.controls {
			i := slices.IndexFunc(controls, func(c probes.Control) bool { return c.ID == id })
			if i < 0 {
				return id + " is not on record"
			}
			if c := controls[i]; c.State != probes.Held {
				return fmt.Sprintf("%s %s: %s", c.ID, c.State, c.Text)
			}
		}
	}
	return "its controls hold, and its assurance says otherwise"
}
