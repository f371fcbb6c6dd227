package profiles

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"bottle.internal/probes"
)

// defaultPercent is MaxInconclusivePercent where a file says nothing (prior-art §4 rule 6).
const defaultPercent = 20

// A document is a profile as it stands in a file.
type document struct {
	Name        text `yaml:"name"`
	Description text `yaml:"description"`
	Since       text `yaml:"since"`
	Through     text `yaml:"through"`
	Require     struct {
		Critical text `yaml:"critical"`
		High     text `yaml:"high"`
		Medium   text `yaml:"medium"`
		Low      text `yaml:"low"`
		Info     text `yaml:"info"`
	} `yaml:"require"`
	Percent text      `yaml:"max_inconclusive_percent"`
	Waivers []written `yaml:"waivers"`
}

// profile is what the document says, with all that is wrong with it.
func (d document) profile() (Profile, []string) {
	p := Profile{Name: d.Name.value, Description: d.Description.value, Since: d.Since.value, Through: d.Through.value, MaxInconclusivePercent: defaultPercent}
	problems := d.releases()
	if strings.TrimSpace(p.Name) == "" {
		problems = append(problems, "it has no name")
	}
	if d.Percent.line > 0 {
		n, err := strconv.Atoi(d.Percent.value)
		if err != nil || n < 0 || n > 100 {
			problems = append(problems, d.Percent.problem("max_inconclusive_percent: %q is none of 0 to 100", d.Percent.value))
		}
		p.MaxInconclusivePercent = n
	}
	required, wrong := d.required()
	p.Require, problems = required, append(problems, wrong...)
	for i, w := range d.Waivers {
		waiver, wrong := w.waiver(i + 1)
		p.Waivers, problems = append(p.Waivers, waiver), append(problems, wrong...)
	}
	return p, problems
}

func (d document) required() (map[probes.Severity]probes.Assurance, []string) {
	levels := make(map[probes.Severity]probes.Assurance)
	var problems []string
	for _, r := range []struct {
		severity probes.Severity
		level    text
	}{
		{probes.Critical, d.Require.Critical}, {probes.High, d.Require.High}, {probes.Medium, d.Require.Medium}, {probes.Low, d.Require.Low}, {probes.Info, d.Require.Info},
	} {
		level := probes.Assurance(r.level.value)
		switch {
		case r.level.line == 0:
		case rank(level) < 0:
			problems = append(problems, r.level.problem("require %s: %q is none of L0 to L4", r.severity, level))
		default:
			levels[r.severity] = level
		}
	}
	return levels, problems
}

func (d document) releases() []string {
	if d.Since.value == "" && d.Through.value == "" {
		return nil
	}
	var problems []string
	var ends []release
	for _, t := range []text{d.Since, d.Through} {
		r, err := parseRelease(t.value)
		if err != nil {
			problems = append(problems, t.problem("since and through: %v", err))
		}
		ends = append(ends, r)
	}
	if len(problems) == 0 && slices.Compare(ends[0][:], ends[1][:]) > 0 {
		problems = append(problems, d.Since.problem("since %s is later than through %s", d.Since.value, d.Through.value))
	}
	return problems
}

// A written waiver is one as it stands in a file.
type written struct {
	ID        text `yaml:"id"`
	Target    text `yaml:"target"`
	Expected  text `yaml:"expected"`
	Reason    text `yaml:"reason"`
	Reference text `yaml:"reference"`
	Owner     text `yaml:"owner"`
	Engine    text `yaml:"engine"`
	Expires   text `yaml:"expires"`
}

// waiver is the nth waiver of its file, with all that is wrong with it.
func (w written) waiver(nth int) (probes.Waiver, []string) {
	v := probes.Waiver{
		ID: w.ID.value, Target: w.Target.value, Expected: probes.Observation(w.Expected.value),
		Reason: strings.TrimSpace(w.Reason.value), Reference: w.Reference.value, Owner: w.Owner.value, Engine: w.Engine.value,
	}
	var err error
	v.Expires, err = time.Parse(time.DateOnly, w.Expires.value)
	var problems []string
	for _, f := range flaws(v) {
		if f.field == "expires" && err != nil && w.Expires.line > 0 {
			f.text = fmt.Sprintf("%q is no date such as 2027-05-31", w.Expires.value)
		}
		problems = append(problems, text{line: w.line(f.field)}.problem("waiver %d: %s: %s", nth, f.field, f.text))
	}
	return v, problems
}

// line is where the field stands, or where the waiver begins.
func (w written) line(field string) int {
	fields := map[string]text{
		"id": w.ID, "target": w.Target, "expected": w.Expected, "reason": w.Reason, "reference": w.Reference, "owner": w.Owner, "engine": w.Engine, "expires": w.Expires,
	}
	if t := fields[field]; t.line > 0 {
		return t.line
	}
	var lines []int
	for _, t := range fields {
		if t.line > 0 {
			lines = append(lines, t.line)
		}
	}
	if len(lines) == 0 {
		return 0
	}
	return slices.Min(lines)
}
