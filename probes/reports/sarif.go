package reports

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/owenrumney/go-sarif/v3/pkg/report/v210/sarif"

	"bottle.internal/probes"
)

// WriteSARIF writes r as SARIF 2.1.0. Every probe is a rule, with the catalogue's words as its help. Results are what asks for
// something: leaks, one for each target, allowances that do not work, and what is not known, as failures of the probe's severity;
// what is exposed is there and suppressed, with its waivers as the justification. What is contained or does not apply has a rule
// and no result, since code scanning takes a result of the kind "pass" for an alert (microsoft/PSRule#955). Errors are w's.
func WriteSARIF(w io.Writer, r probes.Report) error {
	r = shown(r)
	run := sarif.NewRun().WithTool(sarif.NewTool().WithDriver(sarif.NewToolComponent().WithName("bottle-probe")))
	run.WithAutomationDetails(sarif.NewRunAutomationDetails().WithID(strings.Join([]string{"bottle", r.Engine, r.Backend, r.Topology, ""}, "/")))
	run.WithProperties(sarifProperties(r)).AddInvocation(sarifInvocation(r))
	for _, f := range r.Findings {
		if run.GetRuleIndex(f.ID) < 0 { // a log with a rule twice is not valid, whatever the report
			run.Tool.Driver.AddRule(sarifRule(f))
		}
		for _, p := range places(f) {
			run.AddResult(sarifResult(f, p).WithRuleIndex(run.GetRuleIndex(f.ID)))
		}
	}
	if err := sarif.NewReport().AddRun(run).PrettyWrite(w); err != nil {
		return err
	}
	_, err := io.WriteString(w, "\n")
	return err
}

func sarifProperties(r probes.Report) *sarif.PropertyBag {
	b := sarif.NewPropertyBag().Add("engine", r.Engine).Add("version", r.Version).Add("backend", r.Backend).Add("topology", r.Topology)
	b.Add("simulated", r.Simulated).Add("policyAsked", append([]string{}, r.Asked...)).Add("policyEffective", append([]string{}, r.Effective...)).Add("profile", r.Profile).Add("worst", r.Worst())
	b.Add("exposed", append([]string{}, r.Exposed...)).Add("kit", r.Kit)
	for _, t := range tallies(r) {
		b.Add("count."+string(t.Verdict), t.Count)
	}
	return b
}

// sarifInvocation says whether the run itself can be relied on. Without it a report of nothing would be a scan without results.
func sarifInvocation(r probes.Report) *sarif.Invocation {
	const form = "2006-01-02T15:04:05.000Z"
	end := r.Started.Add(time.Duration(r.ElapsedMS) * time.Millisecond)
	why := beyond(r)
	i := sarif.NewInvocation().WithExecutionSuccessful(why == "").WithExitCode(r.ExitCode())
	i.WithStartTimeUtc(r.Started.UTC().Format(form)).WithEndTimeUtc(end.UTC().Format(form))
	if r.Simulated {
		i.AddToolExecutionNotification(sarifNotification(sarif.LevelWarning, "SIMULATED: this run proves the kit, and no boundary"))
	}
	if why != "" {
		i.AddToolExecutionNotification(sarifNotification(sarif.LevelError, why))
	}
	return i
}

func sarifNotification(level, text string) *sarif.Notification {
	return sarif.NewNotification().WithLevel(level).WithMessage(sarif.NewTextMessage(sarifText(text)))
}

// sarifRule is f's probe.
func sarifRule(f probes.Finding) *sarif.ReportingDescriptor {
	rule := sarif.NewRule(f.ID)
	bag := sarif.NewPropertyBag().Add("security-severity", securitySeverity(f.Severity)).Add("precision", "very-high")
	bag.WithTags([]string{"security", "sandbox", family(f.ID)})
	rule.WithProperties(bag).WithDefaultConfiguration(sarif.NewReportingConfiguration().WithLevel(sarifLevel(f.Severity)))
	p, ok := catalogue()[f.ID]
	if !ok {
		return rule.WithShortDescription(plainString(f.ID))
	}
	var text, markdown strings.Builder
	for _, part := range [][2]string{{"What", p.What}, {"Why", p.Why}, {"Counts if", p.Control}, {"Remedy", p.Remedy}, {"Where", p.Where}, {"Source", p.Source}} {
		fmt.Fprintf(&text, "%s: %s\n", part[0], part[1])
		fmt.Fprintf(&markdown, "**%s:** %s\n\n", part[0], part[1])
	}
	return rule.WithShortDescription(plainString(p.What)).WithFullDescription(plainString(p.Why)).WithHelp(plainString(text.String()).WithMarkdown(markdown.String()))
}

func plainString(s string) *sarif.MultiformatMessageString {
	return sarif.NewMultiformatMessageString().WithText(s)
}

// sarifResult is f at the place p.
func sarifResult(f probes.Finding, p place) *sarif.Result {
	res := sarif.NewRuleResult(f.ID).WithLevel(sarifLevel(f.Severity)).WithMessage(sarif.NewTextMessage(sarifText(fmt.Sprintf("%s: %s", shade(f.Verdict), f.Reason))))
	res.WithPartialFingerprints(map[string]string{"probeTarget/v1": p.fingerprint(f.ID)}).AddLocation(sarifLocation(f, p))
	bag := sarif.NewPropertyBag().Add("verdict", f.Verdict).Add("assurance", f.Assurance).Add("stoppedBy", f.StoppedBy).Add("evidence", evidence(f))
	controls := make(map[string]string)
	for _, c := range f.Controls {
		controls[c.ID] = c.State.String()
	}
	res.WithProperties(bag.Add("controls", controls))
	if f.Verdict == probes.Exposed {
		res.AddSuppression(sarifSuppression(f))
	}
	return res
}

// sarifSuppression is one for all waivers of f, since together they cover it.
func sarifSuppression(f probes.Finding) *sarif.Suppression {
	var reasons []string
	for _, w := range f.Waivers {
		reasons = append(reasons, w.String())
	}
	return sarif.NewSuppression().WithKind("external").WithStatus("accepted").WithJustification(strings.Join(reasons, "; "))
}

// sarifLocation is a place where no file is. The physical location is one by name only, as scanners of images give it: code scanning
// refuses a whole log if one result has none (github/codeql-action#2459).
func sarifLocation(f probes.Finding, p place) *sarif.Location {
	file := sarif.NewPhysicalLocation().WithArtifactLocation(sarif.NewSimpleArtifactLocation(p.path(f.ID))).WithRegion(sarif.NewSimpleRegion(1, 1))
	logical := sarif.NewLogicalLocation().WithName(p.name).WithFullyQualifiedName(f.ID + "@" + p.name).WithKind("resource")
	return sarif.NewLocationWithPhysicalLocation(file).AddLogicalLocation(logical)
}

// sarifLevel is the level of a result by the probe's severity. One that is none of ours is the highest.
func sarifLevel(s probes.Severity) string {
	switch s {
	case probes.Medium:
		return sarif.LevelWarning
	case probes.Low, probes.Info:
		return sarif.LevelNote
	}
	return sarif.LevelError
}

// securitySeverity is the number by which GitHub orders alerts of rules with the tag "security": over 9 is critical, from 7 high,
// from 4 medium, below low.
func securitySeverity(s probes.Severity) string {
	switch s {
	case probes.High:
		return "8.0"
	case probes.Medium:
		return "5.0"
	case probes.Low:
		return "2.0"
	case probes.Info:
		return "0.5"
	}
	return "9.5"
}

// sarifText is s as the text of a message, in which braces are placeholders and a bracket before a parenthesis makes a link (SARIF
// 2.1.0 §3.11.5 and §3.11.6).
func sarifText(s string) string {
	return strings.NewReplacer("{", "{{", "}", "}}", "](", `\](`).Replace(s)
}
