package probes

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
)

// String is the report for people: which engine, one line per probe, and beneath each red one what happened.
func (r Report) String() string {
	var b strings.Builder
	_ = r.Write(&b) // a Builder does not fail
	return b.String()
}

// Write writes what String returns.
func (r Report) Write(w io.Writer) error {
	if _, err := fmt.Fprintln(w, r.headline()); err != nil {
		return err
	}
	if r.Invalid != "" {
		if _, err := fmt.Fprintf(w, "INVALID: %s\n", r.Invalid); err != nil {
			return err
		}
	}
	if r.Guest != nil && r.Guest.Weak != "" {
		if _, err := fmt.Fprintf(w, "WEAKER EVIDENCE: %s; no finding is more than %s\n", r.Guest.Weak, L1); err != nil {
			return err
		}
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, f := range r.Findings {
		if _, err := fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\n", strings.ToUpper(string(f.Verdict)), f.Assurance, f.ID, f.Severity, f.Reason); err != nil {
			return err
		}
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for _, f := range r.Findings {
		if f.Verdict == Contained || f.Verdict == NotApplicable {
			continue
		}
		if _, err := fmt.Fprintf(w, "\n%s\n", f); err != nil {
			return err
		}
	}
	return nil
}

func (r Report) headline() string {
	words := []string{r.Engine, r.Version}
	if r.Simulated {
		words = append(words, "SIMULATED")
	}
	for _, named := range [][2]string{{"backend", r.Backend}, {"topology", r.Topology}, {"policy", strings.Join(slices.Concat(r.Asked, r.Effective), ",")}, {"profile", r.Profile}} {
		if named[1] != "" {
			words = append(words, named[0]+" "+named[1])
		}
	}
	line := strings.Join(strings.Fields(strings.Join(words, " ")), " ")
	return fmt.Sprintf("%s: %s, %d probes in %d ms", line, r.Worst(), len(r.Findings), r.ElapsedMS)
}

// String is the finding with its evidence.
func (f Finding) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s %s\n  %s", f.ID, f.Verdict, f.Assurance, f.Reason)
	for _, c := range f.Controls {
		fmt.Fprintf(&b, "\n  %s %s: %s", c.ID, c.State, c.Text)
	}
	for _, a := range f.Attempts {
		slow := ""
		if a.Slow {
			slow = " (slow)"
		}
		fmt.Fprintf(&b, "\n  round %d%s %s, %s at %s, nonce %.8s…", a.Round, slow, a, microseconds(a.ElapsedUS), a.Target, a.Nonce)
	}
	if f.Simplest != "" {
		fmt.Fprintf(&b, "\n  simplest: %s", f.Simplest)
	}
	if f.Again != "" {
		fmt.Fprintf(&b, "\n  again: %s", f.Again)
	}
	for _, w := range f.Warnings {
		fmt.Fprintf(&b, "\n  warning: %s", w)
	}
	for _, w := range f.Waivers {
		fmt.Fprintf(&b, "\n  waived: %s", w)
	}
	return b.String()
}
