package suite

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
)

// Table writes what ran on what, a line for each run.
func Table(out io.Writer, results []Result) {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(w, "\nsuite\tvariant\tran\tof\tfailed\tskipped\tengine\tbackend\ttopology\tbundle\tseconds")
	for _, r := range results {
		_, _ = fmt.Fprintf(w, "%s\t%s\t%d\t%d\t%d\t%d\t%s\t%s\t%s\t%s\t%.1f\n", r.Suite, r.Variant,
			r.Ran, r.Of, len(r.Tally.Failures), len(r.Tally.Skips),
			each(r.Bottles, func(b Bottle) string { return b.Engine }), each(r.Bottles, func(b Bottle) string { return b.Backend }),
			each(r.Bottles, func(b Bottle) string { return b.Topology }), each(r.Bottles, func(b Bottle) string { return b.Bundle }),
			r.Seconds)
	}
	_ = w.Flush()
}

// each joins what is different about the bottles of one run; most runs have one.
func each(bottles []Bottle, of func(Bottle) string) string {
	var parts []string
	for _, b := range bottles {
		if v := of(b); len(parts) == 0 || parts[len(parts)-1] != v {
			parts = append(parts, v)
		}
	}
	if len(parts) == 0 {
		return "?"
	}
	return strings.Join(parts, ", ")
}

// BrokenTable writes each broken bottle with the verdict it got, in the order of their names: specs run in a random one.
func BrokenTable(out io.Writer, results []Result) {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(w, "\nbroken bottle\tclaim\tvariant\tengine\tverdict\treason")
	for _, r := range results {
		for _, b := range slices.SortedStableFunc(slices.Values(r.Broken), func(a, b Broken) int {
			return cmp.Or(cmp.Compare(a.Mutant, b.Mutant), cmp.Compare(a.Spec, b.Spec))
		}) {
			_, _ = fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", b.Mutant, b.Spec, r.Variant, b.Personality, b.Verdict, strings.Join(strings.Fields(b.Reason), " "))
		}
	}
	_ = w.Flush()
}
