package profiles

import (
	"strings"
	"testing"

	"bottle.internal/probes"
)

// contained is a finding with the controls that hold at level, the others as they come.
func contained(s probes.Severity, level probes.Assurance) probes.Finding {
	f := probes.Finding{ID: "net.udp.x", Severity: s, Verdict: probes.Contained, Reason: "silent", Assurance: level}
	for _, l := range levels {
		for _, id := range l.controls {
			c := probes.Control{ID: id, State: probes.Held}
			if !meets(level, l.level) {
				c.State, c.Text = probes.NotChecked, "no "+id
			}
			f.Controls = append(f.Controls, c)
		}
	}
	return f
}

func TestAssurance(t *testing.T) {
	strict, standard := must(Strict), must(Standard)
	for _, c := range []struct {
		name    string
		profile Profile
		finding probes.Finding
		want    probes.Verdict
		reason  string // a part of it
	}{
		{"critical wants a twin", strict, contained(probes.Critical, probes.L2), probes.Inconclusive, "contained with L2 only, and profile strict requires L3 of severity critical: C3 not checked: no C3; found: silent"},
		{"the first that is missing is named", strict, contained(probes.Critical, probes.L1), probes.Inconclusive, ": C4 not checked"},
		{"the very first", strict, contained(probes.Critical, probes.L0), probes.Inconclusive, ": C0 not checked"},
		{"critical has it", strict, contained(probes.Critical, probes.L3), probes.Contained, "silent"},
		{"critical has more", strict, contained(probes.Critical, probes.L4), probes.Contained, "silent"},
		{"high wants a witness", strict, contained(probes.High, probes.L1), probes.Inconclusive, "requires L2 of severity high: C4"},
		{"high wants no twin", strict, contained(probes.High, probes.L2), probes.Contained, "silent"},
		{"medium wants the path", strict, contained(probes.Medium, probes.L0), probes.Inconclusive, "requires L1 of severity medium: C0"},
		{"info has it", strict, contained(probes.Info, probes.L1), probes.Contained, "silent"},
		{"standard wants no twin", standard, contained(probes.Critical, probes.L1), probes.Contained, "silent"},
		{"standard wants the path", standard, contained(probes.Critical, probes.L0), probes.Inconclusive, "requires L1 of severity critical: C0"},
		{"no level on record", standard, contained(probes.Low, ""), probes.Inconclusive, "no assurance on record"},
		{"a level that is none", standard, contained(probes.Low, "L9"), probes.Inconclusive, "L9 only"},
		{"no controls on record", standard, probes.Finding{Severity: probes.Low, Verdict: probes.Contained, Assurance: probes.L0}, probes.Inconclusive, "C0 is not on record"},
		{"nothing is demanded", Profile{}, contained(probes.Critical, ""), probes.Contained, "silent"},
		{"nonsense is demanded", Profile{Require: map[probes.Severity]probes.Assurance{probes.Low: "high"}}, contained(probes.Low, probes.L4), probes.Inconclusive, `"high" is no level`},
	} {
		rep, _ := c.profile.Apply(probes.Report{Findings: []probes.Finding{c.finding}}, now)
		if f := rep.Findings[0]; f.Verdict != c.want || !strings.Contains(f.Reason, c.reason) || f.Assurance != c.finding.Assurance {
			t.Errorf("%s: %s, want %s, %q", c.name, f, c.want, c.reason)
		}
	}
}

// A control that failed on the way is named as failed, and one above what is demanded does not matter.
func TestMissingControl(t *testing.T) {
	f := contained(probes.High, probes.L1)
	f.Controls[3].State, f.Controls[3].Text = probes.Failed, "the log says otherwise"
	rep, _ := must(Strict).Apply(probes.Report{Findings: []probes.Finding{f}}, now)
	if got := rep.Findings[0].Reason; !strings.Contains(got, ": C4 failed: the log says otherwise;") {
		t.Error(got)
	}
}

// Only what is contained has to be assured: a leak without a twin is a leak all the same.
func TestOnlyTheContainedNeedAssurance(t *testing.T) {
	for _, v := range []probes.Verdict{probes.Leak, probes.Overblocked, probes.Inconclusive, probes.NotApplicable, probes.Error} {
		rep, _ := must(Strict).Apply(probes.Report{Findings: []probes.Finding{verdict(v)}}, now)
		if f := rep.Findings[0]; f.Verdict != v || f.Reason != "seen" {
			t.Errorf("%s became %s", v, f)
		}
	}
	p := must(Strict)
	p.Waivers = []probes.Waiver{waiver()}
	if rep, _ := p.Apply(probes.Report{Findings: []probes.Finding{leak(sent(place53))}}, now); rep.Findings[0].Verdict != probes.Exposed {
		t.Errorf("what is exposed became %s", rep.Findings[0])
	}
}

func TestInvalid(t *testing.T) {
	twenty := Profile{MaxInconclusivePercent: 20}
	for _, c := range []struct {
		name                                  string
		profile                               Profile
		contained, inconclusive, leaks, apart int
		want                                  string // a part of it, "" for none
		worst                                 probes.Verdict
		exit                                  int
	}{
		{"nothing", twenty, 0, 0, 0, 0, "no probe was executed", probes.Error, 4},
		{"nothing that means something", twenty, 0, 0, 0, 9, "no probe was executed", probes.Error, 4},
		{"as many as may be", twenty, 4, 1, 0, 0, "", probes.Inconclusive, 3},
		{"one more", twenty, 7, 2, 0, 0, "2 of 9 probes are inconclusive, more than 20 %", probes.Error, 3},
		{"not applicable thins out nothing", twenty, 3, 1, 0, 100, "1 of 4", probes.Error, 3},
		{"all", twenty, 0, 1, 0, 0, "1 of 1", probes.Error, 3},
		{"a leak is a fact all the same", twenty, 0, 9, 1, 0, "9 of 10", probes.Leak, 1},
		{"none at all may be", Profile{}, 99, 1, 0, 0, "more than 0 %", probes.Error, 3},
		{"none is", Profile{}, 99, 0, 0, 0, "", probes.Contained, 0},
		{"all may be", Profile{MaxInconclusivePercent: 100}, 0, 9, 0, 0, "", probes.Inconclusive, 3},
	} {
		var rep probes.Report
		for v, n := range map[probes.Verdict]int{probes.Contained: c.contained, probes.Inconclusive: c.inconclusive, probes.Leak: c.leaks, probes.NotApplicable: c.apart} {
			for range n {
				rep.Findings = append(rep.Findings, verdict(v))
			}
		}
		rep.Invalid = "by another profile"
		got, _ := c.profile.Apply(rep, now)
		if (got.Invalid == "") != (c.want == "") || !strings.Contains(got.Invalid, c.want) || got.Worst() != c.worst || got.ExitCode() != c.exit {
			t.Errorf("%s: %q, %s, exit %d; want %q, %s, %d", c.name, got.Invalid, got.Worst(), got.ExitCode(), c.want, c.worst, c.exit)
		}
	}
}

// What the profile made inconclusive counts as inconclusive: a strict look at a run without a twin is no look.
func TestUnassuredCounts(t *testing.T) {
	rep := probes.Report{Findings: []probes.Finding{contained(probes.Critical, probes.L2), contained(probes.Low, probes.L1)}}
	if got, _ := must(Strict).Apply(rep, now); !strings.Contains(got.Invalid, "1 of 2") {
		t.Errorf("invalid: %q", got.Invalid)
	}
	if got, _ := must(Standard).Apply(rep, now); got.Invalid != "" || got.Worst() != probes.Contained {
		t.Errorf("standard: %q, %s", got.Invalid, got.Worst())
	}
}
