package reports

import (
	"bytes"
	"fmt"
	"io"
	"strings"

	"go.yaml.in/yaml/v3"

	"bottle.internal/probes"
)

// A diagnosis is what stands beneath a test point, as YAML.
type diagnosis struct {
	Message   string           `yaml:"message"`
	Verdict   probes.Verdict   `yaml:"verdict"`
	Severity  probes.Severity  `yaml:"severity,omitempty"`
	Expect    probes.Expect    `yaml:"expect,omitempty"`
	Assurance probes.Assurance `yaml:"assurance,omitempty"`
	StoppedBy string           `yaml:"stopped_by,omitempty"`
	Controls  []string         `yaml:"controls,omitempty"`
	Attempts  []string         `yaml:"attempts,omitempty"`
	Warnings  []string         `yaml:"warnings,omitempty"`
	Waivers   []string         `yaml:"waivers,omitempty"`
}

// WriteTAP writes r as TAP 14, one test point per probe: what does not apply has SKIP, and what is exposed fails with TODO, which
// a consumer takes for expected. What is known of a probe stands beneath it as YAML. Errors are w's.
func WriteTAP(w io.Writer, r probes.Report) error {
	r = shown(r)
	points, why := len(r.Findings), beyond(r)
	if why != "" {
		points++
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "TAP version 14\n1..%d\n", points)
	for _, line := range tapHeading(r) {
		fmt.Fprintf(&b, "# %s\n", line)
	}
	for i, f := range r.Findings {
		if err := tapPoint(&b, i+1, f); err != nil {
			return err
		}
	}
	if why != "" {
		if err := tapPoint(&b, points, probes.Finding{ID: "report", Verdict: probes.Error, Reason: why}); err != nil {
			return err
		}
	}
	_, err := w.Write(b.Bytes())
	return err
}

// tapHeading says what was probed, in comments.
func tapHeading(r probes.Report) []string {
	lines := []string{fmt.Sprintf("%s %s, backend %s, topology %s", r.Engine, r.Version, r.Backend, r.Topology)}
	if r.Simulated {
		lines = append(lines, "SIMULATED: this run proves the kit, and no boundary")
	}
	for _, p := range r.Policies() {
		lines = append(lines, p[0]+": "+p[1])
	}
	return lines
}

func tapPoint(b *bytes.Buffer, n int, f probes.Finding) error {
	result := "not ok"
	if f.Verdict == probes.Contained || f.Verdict == probes.NotApplicable {
		result = "ok"
	}
	fmt.Fprintf(b, "%s %d - %s%s\n", result, n, tapText(f.ID), tapDirective(f))
	text, err := yaml.Marshal(diagnose(f))
	if err != nil {
		return err
	}
	b.WriteString("  ---\n")
	for line := range strings.Lines(string(text)) {
		b.WriteString("  " + line)
	}
	b.WriteString("  ...\n")
	return nil
}

func tapDirective(f probes.Finding) string {
	switch f.Verdict {
	case probes.NotApplicable:
		return " # SKIP " + tapText(f.Reason)
	case probes.Exposed:
		var reasons []string
		for _, w := range f.Waivers {
			reasons = append(reasons, fmt.Sprintf("%s (%s, until %s)", w.Reason, w.Owner, w.Expires.UTC().Format("2006-01-02")))
		}
		return " # TODO waived: " + tapText(strings.Join(reasons, "; "))
	}
	return ""
}

// tapText is s as it may stand in the line of a test point, where "#" begins a directive.
func tapText(s string) string { return strings.NewReplacer(`\`, `\\`, "#", `\#`).Replace(s) }

func diagnose(f probes.Finding) diagnosis {
	d := diagnosis{
		Message: f.Reason, Verdict: f.Verdict, Severity: f.Severity, Expect: f.Expect, Assurance: f.Assurance, StoppedBy: f.StoppedBy, Warnings: f.Warnings,
	}
	for _, c := range f.Controls {
		d.Controls = append(d.Controls, fmt.Sprintf("%s %s: %s", c.ID, c.State, c.Text))
	}
	for _, a := range f.Attempts {
		d.Attempts = append(d.Attempts, strings.Join(append([]string{fmt.Sprintf("round %d at %s: %s", a.Round, a.Target, a)}, details(a)...), "; "))
	}
	for _, w := range f.Waivers {
		d.Waivers = append(d.Waivers, w.String())
	}
	return d
}
