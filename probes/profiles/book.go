package profiles

import (
	"fmt"
	"path"
	"slices"
	"time"

	"bottle.internal/probes"
)

// A book keeps what became of each waiver while findings are held against them.
type book []*entry

type entry struct {
	probes.Waiver
	place    place
	flaws    []flaw
	expired  bool
	met      bool // a probe it names came to a conclusion
	used     bool // it covers an attempt that leaked
	lapsed   bool // it would, were it not expired
	exceeded bool // what it names leaked worse than it expects
}

// open leaves out what is of the engine itself where the report is of a simulation of it.
func open(all []probes.Waiver, now time.Time, simulated bool) book {
	var b book
	for _, w := range all {
		if simulated && w.Engine == probes.RealEngine {
			continue
		}
		e := &entry{Waiver: w, flaws: flaws(w), expired: !now.Before(w.Expires)}
		e.place, _ = parsePlace(w.Target) // an error is among the flaws
		b = append(b, e)
	}
	return b
}

// waive makes a leak exposed if live waivers cover each attempt that leaked. A finding that another profile exposed is a leak
// again to begin with.
func (b book) waive(f probes.Finding) probes.Finding {
	if f.Verdict == probes.Exposed {
		f.Verdict, f.Waivers = probes.Leak, nil
	}
	mine := b.naming(f)
	if f.Verdict != probes.Leak {
		return f
	}
	leaked, bare := 0, []probes.Attempt(nil)
	var waivers []probes.Waiver
	for _, a := range f.Attempts {
		if !a.Leaked() {
			continue
		}
		leaked++
		e := mine.cover(a)
		if e == nil {
			bare = append(bare, a)
		} else if !slices.Contains(waivers, e.Waiver) {
			waivers = append(waivers, e.Waiver)
		}
	}
	switch {
	case leaked > 0 && len(bare) == 0: // a leak that no attempt shows has nothing that could be compared with a target
		f.Verdict, f.Waivers = probes.Exposed, waivers
	case len(waivers) > 0:
		text := fmt.Sprintf("%d of %d attempts that leaked are waived; not round %d: %s at %s", leaked-len(bare), leaked, bare[0].Round, bare[0], bare[0].Target)
		f.Warnings = append(slices.Clone(f.Warnings), text)
	}
	return f
}

// naming are the waivers that name the probe of f.
func (b book) naming(f probes.Finding) book {
	var mine book
	for _, e := range b {
		if ok, err := path.Match(e.ID, f.ID); len(e.flaws) > 0 || err != nil || !ok {
			continue
		}
		switch f.Verdict {
		case probes.Contained, probes.Leak, probes.Overblocked:
			e.met = true
		}
		mine = append(mine, e)
	}
	return mine
}

// cover is the first live waiver that covers a, nil if there is none, and notes what a says of each.
func (b book) cover(a probes.Attempt) *entry {
	var found *entry
	for _, e := range b {
		switch {
		case !e.place.covers(a.Address):
		case !within(effect(a), e.Expected):
			e.exceeded = true
		case e.expired:
			e.lapsed = true
		default:
			e.used = true
			if found == nil {
				found = e
			}
		}
	}
	return found
}
