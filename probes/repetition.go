package probes

import (
	"fmt"
	"slices"
	"strings"
)

// A repetition is what the judge may look at where probes were asked again in a changed situation: the findings before and after.
type repetition struct {
	probe         Probe
	before, after []Finding
	kills         []string
	kit           string
}

// renewed is old with the findings of now in the place of those of the same probes. A leak stays.
func renewed(old, now []Finding) []Finding {
	all := slices.Clone(old)
	for _, f := range now {
		i := slices.IndexFunc(all, func(o Finding) bool { return o.ID == f.ID })
		switch {
		case i < 0:
			all = append(all, f)
		case all[i].Verdict != Leak:
			all[i] = f
		}
	}
	return all
}

// A pair is one probe before and after; after is nil where it was not asked again.
type pair struct {
	before Finding
	after  *Finding
}

func (q repetition) pairs() []pair {
	var all []pair
	for _, f := range q.before {
		p := pair{before: f}
		if i := slices.IndexFunc(q.after, func(a Finding) bool { return a.ID == f.ID }); i >= 0 {
			p.after = &q.after[i]
		}
		all = append(all, p)
	}
	return all
}

// open reports whether asking the probe again may clear something up: it said something before, and says nothing now.
func (q repetition) open(id string) bool {
	return slices.ContainsFunc(q.pairs(), func(p pair) bool {
		return p.before.ID == id && p.unclear()
	})
}

// unclear reports whether the probe was not asked again, or to no avail.
func (p pair) unclear() bool {
	return p.after == nil || p.after.Verdict == NotApplicable || p.after.Verdict != Leak && p.after.Verdict.Worse(p.before.Verdict)
}

// judge compares. It is a pure function.
func (q repetition) judge() Finding {
	f := blank(q.probe)
	changes := 0
	worst := q.unchanged()
	for _, p := range q.pairs() {
		r, changed := p.judge()
		if changed && r.Verdict != Contained {
			changes++
		}
		if changed && r.Verdict.Worse(worst.Verdict) {
			worst = r
		}
		switch {
		case p.after == nil:
		case changed:
			f.Attempts = append(f.Attempts, p.after.Attempts...)
		case len(p.after.Attempts) > 0: // one shows that it was asked; what it found before is at its own id
			f.Attempts = append(f.Attempts, p.after.Attempts[0])
		}
		if p.after != nil && changed && r.Verdict == Contained {
			f.Warnings = append(f.Warnings, r.Reason)
		}
	}
	f.Verdict, f.Reason = worst.Verdict, worst.Reason
	if changes > 1 {
		f.Reason += fmt.Sprintf("; and %d more changed", changes-1)
	}
	if f.Verdict == Leak {
		f.StoppedBy = "nobody"
	}
	for _, id := range []string{"C0", "C1", "C2", "C3", "C4"} {
		c := q.control(id)
		f.Controls = append(f.Controls, c)
		if id < "C3" && c.State != Held && f.Verdict == Contained {
			f.Verdict, f.Reason = Inconclusive, c.ID+": "+c.Text
		}
	}
	f.Controls = append(f.Controls, question{kills: q.kills, kit: q.kit}.killed().control("C5"))
	if f.Verdict != Error {
		f.Assurance = assurance(f.Controls)
	}
	return f
}

// unchanged is the ruling where no probe says anything else than before: about those that held then. Of the others nothing could be lost,
// and it names them, for not everybody who reads it has asked for them.
func (q repetition) unchanged() ruling {
	held := 0
	var others []string
	for _, f := range q.before {
		if f.Verdict == Contained {
			held++
		} else {
			others = append(others, f.ID+" "+string(f.Verdict))
		}
	}
	switch {
	case len(q.before) == 0:
		return rule(Error, "there is nothing to compare: no probe of the network meant anything before")
	case held == 0:
		return rule(Inconclusive, "nothing held before that could be lost: %s", enumerated(others))
	case len(others) > 0:
		return rule(Contained, "each of %d probes that held before holds now; others did not hold before: %s", held, enumerated(others))
	}
	return rule(Contained, "each of %d probes held before and holds now", held)
}

// enumerated is some of all, and how many there are besides.
func enumerated(all []string) string {
	const some = 4
	if len(all) <= some {
		return strings.Join(all, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(all[:some], ", "), len(all)-some)
}

// judge is what the pair says, and whether that is something else than before.
func (p pair) judge() (ruling, bool) {
	was := p.before
	switch {
	case p.after == nil:
		return rule(Error, "%s was not asked again", was.ID), true
	case p.after.Verdict == was.Verdict:
		return ruling{}, false
	case p.after.Verdict == NotApplicable:
		return rule(Inconclusive, "%s was %s before and means nothing now: %s", was.ID, was.Verdict, p.after.Reason), true
	case p.after.Verdict.Worse(was.Verdict):
		return rule(p.after.Verdict, "%s was %s before and is %s now: %s", was.ID, was.Verdict, p.after.Verdict, p.after.Reason), true
	case was.Verdict == Leak || was.Verdict == Overblocked:
		return rule(Inconclusive, "%s was %s before and is %s now, and which of the two holds is not known: %s", was.ID, was.Verdict, p.after.Verdict, was.Reason), true
	}
	return rule(Contained, "%s was %s before and is %s now", was.ID, was.Verdict, p.after.Verdict), true
}

// control is a control of the repetition: it has to hold wherever it held before.
func (q repetition) control(id string) Control {
	of := 0
	var lost []string
	for _, p := range q.pairs() {
		if !p.before.holds(id) {
			continue
		}
		if of++; p.after == nil || !p.after.holds(id) {
			lost = append(lost, p.before.ID)
		}
	}
	switch {
	case of == 0:
		return notChecked("it holds of none of the probes that are repeated").control(id)
	case len(lost) > 0:
		return failed("it held of %s before, and does not now", strings.Join(lost, ", ")).control(id)
	}
	return outcome{Held, fmt.Sprintf("as before, of %d of the %d probes that are repeated", of, len(q.before))}.control(id)
}

// holds reports whether a control holds.
func (f Finding) holds(id string) bool {
	return slices.ContainsFunc(f.Controls, func(c Control) bool { return c.ID == id && c.State == Held })
}

// merge is one finding of two that were made at once, of the same probe: the worst of both, with the controls that both have. It is a
// pure function.
func merge(a, b Finding) Finding {
	f := a
	if b.Verdict.Worse(a.Verdict) {
		f.Verdict, f.Reason, f.StoppedBy = b.Verdict, b.Reason, b.StoppedBy
	} else if a.Verdict == b.Verdict {
		f.Reason += "; and the other way round: " + b.Reason
	}
	f.Attempts, f.Warnings = slices.Concat(a.Attempts, b.Attempts), slices.Concat(a.Warnings, b.Warnings)
	f.Controls = nil
	for i, c := range a.Controls {
		both := []outcome{{c.State, c.Text}}
		if i < len(b.Controls) {
			both = append(both, outcome{b.Controls[i].State, b.Controls[i].Text})
		}
		f.Controls = append(f.Controls, worst(both).control(c.ID))
	}
	if f.Assurance = ""; f.Verdict != Error {
		f.Assurance = assurance(f.Controls)
	}
	return f
}
