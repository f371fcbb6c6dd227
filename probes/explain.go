package probes

import (
	"cmp"
	"fmt"
	"io"
	"strings"
)

// Explain is all that the catalogue says of the probe, for people: what is tried, why it matters, which control makes the answer
// count, what to do when it leaks, where the failure was seen in public, and where it means something.
func (p Probe) Explain() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n\n", p.ID)
	for _, part := range [][2]string{
		{"family", p.Family}, {"severity", string(p.Severity)}, {"expects", p.expects()}, {"assurance", "at most " + string(p.Most())},
		{"backends", cmp.Or(strings.Join(p.Backends, ", "), "all")},
		{"tries", p.What}, {"matters", p.Why}, {"control", p.Control}, {"if red", p.Remedy}, {"seen", p.Source}, {"where", p.Where},
	} {
		fmt.Fprintf(&b, "%-10s %s\n", part[0], part[1])
	}
	return b.String()
}

func (p Probe) expects() string {
	if p.Expect == Reach {
		return "the target answers with its proof"
	}
	return "the target stays out of reach"
}

// WriteCatalogue writes the catalogue as a page of Markdown: a table of all probes, and a section for each.
func WriteCatalogue(w io.Writer) error {
	all := All()
	var b strings.Builder
	fmt.Fprintf(&b, "# Probes\n\n<!-- Generated from the catalogue: go test ./probes -run TestCataloguePage -update -->\n\n"+
		"%d probes. A probe says *contained* only if a listener of ours was up at the target, was known to be reachable from elsewhere, the guest's\n"+
		"network worked in the same window, and the listener never saw the probe's nonce.\n\n", len(all))
	b.WriteString("| id | severity | expects | backends | most | what is tried |\n|---|---|---|---|---|---|\n")
	for _, p := range all {
		fmt.Fprintf(&b, "| [%s](#%s) | %s | %s | %s | %s | %s |\n", p.ID, anchor(p.ID), p.Severity, p.Expect,
			cmp.Or(strings.Join(p.Backends, ", "), "all"), p.Most(), cell(p.What))
	}
	for _, p := range all {
		fmt.Fprintf(&b, "\n## %s\n\n%s\n\n- **Why:** %s\n- **Counts because:** %s\n- **When it is red:** %s\n- **Seen in:** %s\n- **Where:** %s\n",
			p.ID, p.What, p.Why, p.Control, p.Remedy, p.Source, p.Where)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// anchor is what a Markdown page calls a heading.
func anchor(id string) string { return strings.ReplaceAll(id, ".", "") }

func cell(s string) string { return strings.ReplaceAll(s, "|", "\\|") }
