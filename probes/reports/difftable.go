package reports

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"bottle.internal/probes"
)

// before orders what needs attention first, and by id.
func before(a, b Entry) int {
	return cmp.Or(slices.Index(changes, a.Change)-slices.Index(changes, b.Change), strings.Compare(a.ID, b.ID))
}

// Count is how many probes changed that way.
func (d Difference) Count(c Change) int {
	n := 0
	for _, e := range d.Entries {
		if e.Change == c {
			n++
		}
	}
	return n
}

// ExitCode is what a command says of the difference: 0 nothing is worse, 1 something is, 4 the comparison says nothing and nothing
// that it has is known to be worse.
func (d Difference) ExitCode() int {
	for _, e := range d.Entries {
		if e.Red() {
			return 1
		}
	}
	if d.Invalid != "" || len(d.Entries) == 0 {
		return 4
	}
	return 0
}

// String is the difference for people: which reports, a line per probe that changed, and how many there are of each change.
func (d Difference) String() string {
	var b strings.Builder
	_ = d.Write(&b) // a Builder does not fail
	return b.String()
}

// Write writes what String returns. Errors are w's.
func (d Difference) Write(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "old %s\nnew %s\n", heading(d.Old), heading(d.New))
	for _, line := range d.Unlike {
		fmt.Fprintf(&b, "UNLIKE %s\n", printable(line))
	}
	if d.Invalid != "" {
		fmt.Fprintf(&b, "INVALID: %s\n", printable(d.Invalid))
	}
	t := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	for _, e := range d.Entries {
		if e.Change != Unchanged || e.Old != nil && e.New != nil && e.Old.Verdict != e.New.Verdict {
			e.line(t)
		}
	}
	_ = t.Flush() // into a Builder
	var counts []string
	for _, c := range changes {
		counts = append(counts, fmt.Sprintf("%d %s", d.Count(c), c))
	}
	fmt.Fprintln(&b, strings.Join(counts, ", "))
	_, err := io.WriteString(w, b.String())
	return err
}

// heading is what a report is of.
func heading(r probes.Report) string {
	words := []string{r.Engine, r.Version}
	if r.Simulated {
		words = append(words, "SIMULATED")
	}
	words = append(words, r.Backend, r.Topology, r.Started.UTC().Format("2006-01-02 15:04:05 UTC"), string(r.Worst()))
	return printable(strings.Join(strings.Fields(strings.Join(words, " ")), " "))
}

// line writes the entry as a row.
func (e Entry) line(w io.Writer) {
	mark, reason := " ", ""
	if e.Red() {
		mark = "!"
	}
	if e.New != nil {
		reason = "\t" + printable(e.New.Reason)
	}
	fmt.Fprintf(w, "%s %s\t%s\t%s → %s%s\n", mark, e.Change, printable(e.ID), standing(e.Old), standing(e.New), reason)
}

// standing is a verdict and what stands behind it.
func standing(f *probes.Finding) string {
	if f == nil {
		return "absent"
	}
	return printable(strings.TrimSpace(string(f.Verdict) + " " + string(f.Assurance)))
}
