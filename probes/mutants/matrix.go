package mutants

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"bottle.internal/probes"
)

// A Row is one mutant on one base, as it was run.
type Row struct {
	Mutant Mutant `json:"mutant"`
	On     Base   `json:"on"`
	Engine string `json:"engine"` // such as "smolvm 0.8.0 (simulated)"
	// Effect is how it is known that the edit took effect, a line each.
	Effect []string `json:"effect"`
	// Error says why nothing is known of the mutant; "" is that it was run.
	Error string `json:"error,omitempty"`
	// Refused is what the launch said when it refused the bottle; "" is that it did not.
	Refused string `json:"refused,omitempty"`
	// Cells are by the probe's id.
	Cells   map[string]Cell `json:"cells,omitempty"`
	Seconds float64         `json:"seconds"`
}

// A Cell is what one probe said of a mutant and of the sound bottle that it was made of.
type Cell struct {
	Verdict  probes.Verdict `json:"verdict"`
	Sound    probes.Verdict `json:"sound"`
	Reason   string         `json:"reason,omitempty"`
	Failed   []string       `json:"failed,omitempty"` // controls that do not hold and do in the sound bottle
	Severity string         `json:"severity"`
}

// red are the verdicts that nobody takes for good.
var red = []probes.Verdict{probes.Leak, probes.Overblocked, probes.Inconclusive, probes.Error}

// Red reports whether the probe turned red, and was not that red before.
func (c Cell) Red() bool {
	return slices.Contains(red, c.Verdict) && c.Verdict != c.Sound && c.Sound != probes.Leak
}

// Killed reports whether the probe told the mutant apart by what it found: a leak, or an allowance that does not work, where the
// sound bottle has none. A probe that can only no longer say anything has shown that it is honest, and no teeth.
func (c Cell) Killed() bool {
	return c.Sound == probes.Contained && (c.Verdict == probes.Leak || c.Verdict == probes.Overblocked)
}

// NewRow puts the reports of a mutant and of its sound bottle together.
func NewRow(m Mutant, on Base, engine string, broken, sound probes.Report) Row {
	r := Row{Mutant: m, On: on, Engine: engine, Cells: make(map[string]Cell)}
	for _, f := range broken.Findings {
		s, err := sound.Finding(f.ID)
		if err != nil {
			s.Verdict = probes.Error
		}
		r.Cells[f.ID] = Cell{Verdict: f.Verdict, Sound: s.Verdict, Reason: f.Reason, Severity: string(f.Severity), Failed: lost(f, s)}
	}
	return r
}

// lost are the controls that hold in sound and not in f.
func lost(f, sound probes.Finding) []string {
	var ids []string
	for _, c := range sound.Controls {
		if c.State == probes.Held && !slices.ContainsFunc(f.Controls, func(d probes.Control) bool { return d.ID == c.ID && d.State == probes.Held }) {
			ids = append(ids, c.ID)
		}
	}
	return ids
}

// Missed is what had to be seen of the mutant and was not, a line each; nil is a mutant that was killed.
func (r Row) Missed() []string {
	switch refused := r.Refused != ""; {
	case r.Error != "", refused && r.Mutant.RefusedAt != "":
		return nil
	case r.Mutant.RefusedAt != "":
		return []string{"the launch does not refuse it"}
	}
	var missed []string
	asked := 0
	for _, w := range r.wanted() {
		switch {
		case w.cell.outOfReach():
			continue
		case w.why() != "":
			missed = append(missed, w.id+": "+w.why())
		}
		asked++
	}
	if asked == 0 {
		missed = append(missed, "nothing that has to notice it means anything here")
	}
	return missed
}

// Limits are the probes that have to notice the mutant and mean nothing on this host, a line each.
func (r Row) Limits() []string {
	var limits []string
	if r.Mutant.Limit != "" {
		limits = append(limits, r.Mutant.Limit)
	}
	for _, w := range r.wanted() {
		if w.cell.outOfReach() && w.named {
			limits = append(limits, w.id+": "+w.cell.Reason)
		}
	}
	return limits
}

// A want is one probe that has to notice.
type want struct {
	id    string
	named bool // by its id and not by a pattern
	kill  Kill
	cell  Cell
}

func (r Row) wanted() []want {
	var all []want
	for _, k := range r.Mutant.Kills {
		some, _ := probes.Select(k.Probes...) // a test holds the table to the catalogue
		for _, p := range some {
			if p.Scene() && !r.Mutant.Scenes {
				continue // a pattern's
			}
			all = append(all, want{p.ID, slices.Contains(k.Probes, p.ID), k, r.Cells[p.ID]})
		}
	}
	return all
}

// why says in what way the probe did not notice, "" if it did.
func (w want) why() string {
	switch c := w.cell; {
	case c.Verdict == "":
		return "it was not asked"
	case w.kill.Control != "" && !slices.Contains(c.Failed, w.kill.Control):
		return "control " + w.kill.Control + " holds as in the sound bottle, or did not hold there"
	case w.kill.Control != "":
		return ""
	case c.Verdict != w.kill.Verdict:
		return fmt.Sprintf("%s, want %s: %s", c.Verdict, w.kill.Verdict, c.Reason)
	case c.Verdict == c.Sound:
		return fmt.Sprintf("%s, as in the sound bottle", c.Verdict)
	}
	return ""
}

// outOfReach reports whether the probe means nothing, there or in the sound bottle.
func (c Cell) outOfReach() bool {
	return c.Verdict == probes.NotApplicable && c.Sound == probes.NotApplicable
}

// A Matrix is what a run of mutants found.
type Matrix struct {
	Schema int    `json:"schema"`
	Kit    string `json:"kit"` // the digest of the sources of probes and agent
	Rows   []Row  `json:"rows"`
	// Sound are the reports that the mutants are compared with, by base.
	Sound map[string]probes.Report `json:"-"`
}

// Schema is the version of Matrix's JSON form.
const Schema = 1

// Survivors are the mutants that were not noticed as they have to be, and those of which nothing is known, a line each.
func (m Matrix) Survivors() []string {
	var lines []string
	for _, r := range m.Rows {
		if r.Error != "" {
			lines = append(lines, fmt.Sprintf("%s on %s: error: %s", r.Mutant.Name, r.On, r.Error))
		}
		for _, why := range r.Missed() {
			lines = append(lines, fmt.Sprintf("%s on %s survives %s", r.Mutant.Name, r.On, why))
		}
	}
	return lines
}

// Kills are, by probe id, the mutants that the probe told apart, each once. That a prober which is none reaches nothing is not counted.
func (m Matrix) Kills() map[string][]string {
	kills := make(map[string][]string)
	for _, r := range m.Rows {
		for id, c := range r.Cells {
			if r.Error == "" && c.Killed() && (c.Verdict == probes.Leak || r.Mutant.Edit.Agent == "") && !slices.Contains(kills[id], r.Mutant.Name) {
				kills[id] = append(kills[id], r.Mutant.Name)
			}
		}
	}
	for _, names := range kills {
		slices.Sort(names)
	}
	return kills
}

// Toothless are the critical and high probes that told no mutant apart and have no exception that says why, and the exceptions that
// are none any more, a line each.
func (m Matrix) Toothless(exceptions []Exception) []string {
	kills := m.Kills()
	var lines []string
	for _, p := range probes.All() {
		i := slices.IndexFunc(exceptions, func(e Exception) bool { return e.Probe == p.ID })
		serious := p.Severity == probes.Critical || p.Severity == probes.High
		switch killed := len(kills[p.ID]) > 0; {
		case !killed && serious && i < 0:
			lines = append(lines, fmt.Sprintf("%s (%s) tells no mutant from the sound bottle, and no exception says why%s", p.ID, p.Severity, m.unsound(p.ID)))
		case killed && i >= 0:
			lines = append(lines, fmt.Sprintf("%s is excepted (%s), and yet it kills %s: take the exception out", p.ID, exceptions[i].Why, strings.Join(kills[p.ID], ", ")))
		}
	}
	return lines
}

// unsound says where a probe turned red and counts for nothing, since it did not stand on the sound bottle either: a host that is too
// slow for it shows there first. It is "" where that is not so.
func (m Matrix) unsound(id string) string {
	var text strings.Builder
	for _, base := range slices.Sorted(maps.Keys(m.Sound)) {
		spoilt := slices.ContainsFunc(m.Rows, func(r Row) bool {
			c := r.Cells[id]
			return r.On.String() == base && c.Sound != probes.Contained && (c.Verdict == probes.Leak || c.Verdict == probes.Overblocked)
		})
		if f, err := m.Sound[base].Finding(id); err == nil && spoilt {
			fmt.Fprintf(&text, "; the sound bottle on %s is %s: %s", base, f.Verdict, f.Reason)
		}
	}
	return text.String()
}
