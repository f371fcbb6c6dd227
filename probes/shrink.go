package probes

import (
	"context"
	"fmt"

	"bottle.internal/probes/boundary"
)

// shrink says what the probes of the boundary could not try, brings what they mispredicted down to its simplest form, by asking the
// sandbox again, and writes into the findings how to repeat it.
func (r *rig) shrink(ctx context.Context, report *Report, items []item) {
	r.site.Twin = nil // what it can reach is known by now
	for _, it := range items {
		for i := range report.Findings {
			if f := &report.Findings[i]; f.ID == it.probe.ID {
				r.simplify(ctx, it.probe, f)
				if n := r.unplaced[f.ID]; n > 0 && f.Verdict != NotApplicable {
					f.Warnings = append(f.Warnings, fmt.Sprintf("%d more cases were not tried: nothing of ours can stand there", n))
				}
			}
		}
	}
}

// simplify does so for one finding of p, if that has mispredicted cases.
func (r *rig) simplify(ctx context.Context, p Probe, f *Finding) {
	wrong := r.mispredicted(*f)
	if len(wrong) == 0 {
		return
	}
	seen := wrong
	simplest := boundary.Shrink(r.model(), boundary.Simplest(casesOf(wrong)), func(all []boundary.Case) []bool {
		found := r.retry(ctx, p, all)
		seen = append(seen, found...)
		return foundIn(all, found)
	})
	for _, m := range seen {
		if m.Flow == simplest.Flow {
			f.Simplest, f.Again = simplest.String(), r.repeating(p, m.attempt)
		}
	}
}

// A misprediction is a case that came out otherwise than the model says, and an attempt that shows it.
type misprediction struct {
	boundary.Case
	attempt Attempt
}

// mispredicted are those of a finding: sightings where nothing was to arrive, or no proof where one was to come back.
func (r *rig) mispredicted(f Finding) []misprediction {
	var order []spot
	attempts := make(map[spot][]Attempt)
	for _, a := range f.Attempts {
		at := spot{a.Network, a.Address}
		if attempts[at] == nil {
			order = append(order, at)
		}
		attempts[at] = append(attempts[at], a)
	}
	var all []misprediction
	for _, at := range order {
		c, ok := r.cases[at]
		if a, wrong := surprising(f, attempts[at]); ok && wrong {
			all = append(all, misprediction{c, a})
		}
	}
	return all
}

// surprising finds the attempt on one address that shows the finding's verdict.
func surprising(f Finding, attempts []Attempt) (Attempt, bool) {
	for _, a := range attempts {
		got := len(a.Sightings) > 0 || a.Proved
		switch {
		case f.Expect == Reach && a.Proved:
			return Attempt{}, false
		case f.Verdict == Leak && got:
			return a, true
		}
	}
	return attempts[0], f.Verdict == Overblocked
}

// retry tries cases once more, in one batch, and returns those that come out wrong.
func (r *rig) retry(ctx context.Context, p Probe, cases []boundary.Case) []misprediction {
	var aims []aim
	for _, c := range cases {
		if a, ok := r.place(c); ok {
			aims = append(aims, a)
		}
	}
	if len(aims) == 0 || ctx.Err() != nil {
		return nil
	}
	report, err := r.run(ctx, []item{{probe: p, aims: aims}})
	if err != nil {
		return nil
	}
	return r.mispredicted(report.Findings[0])
}

func casesOf(all []misprediction) []boundary.Case {
	var cases []boundary.Case
	for _, m := range all {
		cases = append(cases, m.Case)
	}
	return cases
}

// foundIn says of each case whether it is one of found.
func foundIn(all []boundary.Case, found []misprediction) []bool {
	flows := make(map[boundary.Flow]bool)
	for _, m := range found {
		flows[m.Flow] = true
	}
	out := make([]bool, len(all))
	for i, c := range all {
		out[i] = flows[c.Flow]
	}
	return out
}
