package reports

import (
	"slices"

	"bottle.internal/probes"
)

// A Change is what became of a probe from one report to the next. The zero Change is none.
type Change string

// The changes. Of each probe the first that applies is told.
const (
	Gone             Change = "gone"              // it was judged, and is not any more: absent, or not applicable
	New              Change = "new"               // it was not judged before
	Regressed        Change = "regressed"         // its verdict weighs more
	Fixed            Change = "fixed"             // it is contained, and was not
	AssuranceDropped Change = "assurance-dropped" // as bad as before, and less stands behind it
	Unchanged        Change = "unchanged"         // none of these; a verdict may have become lighter without being good
)

// changes are all of them, what needs attention first.
var changes = []Change{Regressed, Gone, AssuranceDropped, New, Fixed, Unchanged}

// An Entry is one probe in two reports.
type Entry struct {
	ID     string
	Change Change
	// Old and New are the probe's findings; nil is a report that has none.
	Old, New *probes.Finding
}

// Red reports whether the change is for the worse: regressed, gone, less assured, or new and red from the start. A probe that was
// red and still is, is not: that is for the report itself to say.
func (e Entry) Red() bool {
	switch e.Change {
	case Regressed, Gone, AssuranceDropped:
		return true
	case New:
		return e.New == nil || !green(e.New.Verdict)
	case Fixed, Unchanged:
		return false
	}
	return true
}

// A Difference is what changed from one report to another. The zero Difference is one of two reports without findings, of which
// Invalid does not say so.
type Difference struct {
	Old, New probes.Report // as they came
	Entries  []Entry       // one per probe that either report has, what needs attention first, then by id
	// Unlike is what the reports differ in beside their findings, a line each: the engine, the backend, the policies, the profile, the kit.
	// The address of the allowed destination is none of it, which in a bottle is another one each time.
	Unlike []string
	// Invalid says why nothing can be concluded from the comparison, "" if something can: one of the reports is invalid or without
	// an executed probe, the new one is of a simulator where the old one was not, or another policy was asked for.
	Invalid string
}

// Diff compares two reports probe by probe. Neither is changed.
func Diff(old, new probes.Report) Difference {
	d := Difference{Old: old, New: new, Unlike: unlike(old, new), Invalid: incomparable(old, new)}
	was, is := byID(old), byID(new)
	for id := range was {
		d.Entries = append(d.Entries, entry(id, was[id], is[id]))
	}
	for id := range is {
		if was[id] == nil {
			d.Entries = append(d.Entries, entry(id, nil, is[id]))
		}
	}
	slices.SortFunc(d.Entries, before)
	return d
}

func incomparable(old, new probes.Report) string {
	switch {
	case beyond(old) != "":
		return "the old report: " + beyond(old)
	case beyond(new) != "":
		return "the new report: " + beyond(new)
	case new.Simulated && !old.Simulated:
		return "the new report is of a simulator and the old one was not: a shared kernel cannot stand for a VM"
	case Asked(old) != Asked(new):
		return "another policy was asked for: what one of them lets through the other may deny"
	}
	return ""
}

// byID are the findings of r; of an id that occurs twice, the worst.
func byID(r probes.Report) map[string]*probes.Finding {
	all := make(map[string]*probes.Finding)
	for i := range r.Findings {
		f := &r.Findings[i]
		if have := all[f.ID]; have == nil || f.Verdict.Worse(have.Verdict) {
			all[f.ID] = f
		}
	}
	return all
}

// entry compares two findings, either of which may be nil.
func entry(id string, was, is *probes.Finding) Entry {
	return Entry{ID: id, Old: was, New: is, Change: change(was, is)}
}

func change(was, is *probes.Finding) Change {
	// That a probe does not apply says nothing of the sandbox, so a leak that became not applicable is not fixed.
	switch {
	case is == nil:
		return Gone
	case was == nil:
		return New
	case is.Verdict == probes.NotApplicable && was.Verdict == probes.NotApplicable:
		return Unchanged
	case is.Verdict == probes.NotApplicable:
		return Gone
	case was.Verdict == probes.NotApplicable && green(is.Verdict):
		return New
	case is.Verdict.Worse(was.Verdict):
		return Regressed
	case is.Verdict == probes.Contained && was.Verdict != probes.Contained:
		return Fixed
	case slices.Index(levels, is.Assurance) < slices.Index(levels, was.Assurance):
		return AssuranceDropped
	}
	return Unchanged
}
