package mutants

import (
	"fmt"
	"strings"
	"text/tabwriter"

	"bottle.internal/probes"
)

// letters are a cell in the text of a matrix.
var letters = map[probes.Verdict]string{
	probes.Contained: "·", probes.Leak: "L", probes.Overblocked: "O", probes.Inconclusive: "i", probes.Error: "e", probes.NotApplicable: " ",
}

// letter is what the text of a matrix shows of a cell: a capital is a kill, a small letter a probe that turned red otherwise, and
// "-" one that was that red before.
func (c Cell) letter() string {
	switch {
	case c.Verdict == "":
		return "?"
	case c.Killed():
		return letters[c.Verdict]
	case c.Red():
		return strings.ToLower(letters[c.Verdict])
	case c.Verdict == c.Sound && c.Verdict != probes.Contained && c.Verdict != probes.NotApplicable:
		return "-"
	}
	return letters[c.Verdict]
}

// String is the matrix as a person reads it in a terminal: the mutants, then a line for each probe with a letter for each mutant.
func (m Matrix) String() string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(w, "\n \tmutant\ton\tkind\tkilled by\tred\tseconds\t")
	for i, r := range m.Rows {
		killed, red := r.count()
		_, _ = fmt.Fprintf(w, "%d\t%s\t%s\t%s\t%d\t%d\t%.1f\t%s\n", i+1, r.Mutant.Name, r.On, r.Mutant.Kind, killed, red, r.Seconds, r.state())
	}
	_ = w.Flush()
	b.WriteString("\n" + m.grid())
	for _, r := range m.Rows {
		for _, limit := range r.Limits() {
			fmt.Fprintf(&b, "known limit of %s on %s: %s\n", r.Mutant.Name, r.On, limit)
		}
	}
	fmt.Fprintf(&b, "\n%d mutants in %d runs, %d lines about survivors; kit %s\n", m.mutants(), len(m.Rows), len(m.Survivors()), m.Kit)
	return b.String()
}

func (r Row) state() string {
	switch {
	case r.Error != "":
		return "ERROR: " + strings.Join(strings.Fields(r.Error), " ")
	case len(r.Missed()) > 0:
		return "SURVIVES"
	case r.Refused != "":
		return "killed by the launch"
	}
	return "killed"
}

// count is how many probes killed the mutant, and how many turned red.
func (r Row) count() (killed, red int) {
	for _, c := range r.Cells {
		if c.Killed() {
			killed++
		}
		if c.Red() {
			red++
		}
	}
	return killed, red
}

func (m Matrix) mutants() int {
	names := make(map[string]bool)
	for _, r := range m.Rows {
		names[r.Mutant.Name] = true
	}
	return len(names)
}

// grid is a line for each probe.
func (m Matrix) grid() string {
	var b strings.Builder
	kills := m.Kills()
	const width = 30
	fmt.Fprintf(&b, "%*s  %s\n", width, "", "L leak and O overblocked kill; l o i e red otherwise; - as in the sound bottle; · contained; blank means nothing there")
	tens, ones := "", ""
	for i := range m.Rows {
		tens += fmt.Sprint((i + 1) / 10 % 10)
		ones += fmt.Sprint((i + 1) % 10)
	}
	fmt.Fprintf(&b, "%*s  %s\n%*s  %s\n", width, "", tens, width, "", ones)
	for _, p := range probes.All() {
		line := ""
		for _, r := range m.Rows {
			line += r.Cells[p.ID].letter()
		}
		fmt.Fprintf(&b, "%-*s  %s  %-8s %d\n", width, p.ID, line, p.Severity, len(kills[p.ID]))
	}
	return b.String()
}
