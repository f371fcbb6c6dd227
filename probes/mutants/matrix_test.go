package mutants

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"bottle.internal/probes"
)

// report is one of two probes.
func report(canary, loopback probes.Verdict) probes.Report {
	return probes.Report{Findings: []probes.Finding{
		{ID: "net.tcp.canary.v4", Severity: probes.Critical, Verdict: canary, Reason: "a <reason>", Controls: []probes.Control{{ID: "C3", State: probes.Held}}},
		{ID: "net.tcp.loopback.v4", Severity: probes.Critical, Verdict: loopback},
	}}
}

var sound = report(probes.Contained, probes.Contained)

func mutant(kills ...Kill) Mutant { return Mutant{Name: "m", Kind: Fixture, Kills: kills} }

func TestMissed(t *testing.T) {
	lostFlip := report(probes.Contained, probes.Contained)
	lostFlip.Findings[0].Controls[0].State = probes.Failed
	for _, c := range []struct {
		name          string
		broken, sound probes.Report
		kill          Kill
		want          string // a part of the one line; "" is killed
	}{
		{"a leak", report(probes.Leak, probes.Contained), sound, leaks("net.tcp.canary.v4"), ""},
		{"nothing", sound, sound, leaks("net.tcp.canary.v4"), "contained, want leak"},
		{"another verdict", report(probes.Inconclusive, probes.Contained), sound, leaks("net.tcp.canary.v4"), "inconclusive, want leak"},
		{"only one of two", report(probes.Leak, probes.Contained), sound, leaks("net.tcp.canary.v4", "net.tcp.loopback.v4"), "net.tcp.loopback.v4: contained"},
		{"a leak that is there anyway", report(probes.Leak, probes.Contained), report(probes.Leak, probes.Contained), leaks("net.tcp.canary.v4"), "as in the sound bottle"},
		{"a probe that was not asked", report(probes.Leak, probes.Contained), sound, leaks("net.udp.quic"), "it was not asked"},
		{"a probe that means nothing", report(probes.NotApplicable, ""), report(probes.NotApplicable, ""), leaks("net.tcp.canary.v4"), "means anything here"},
		{"a probe that means nothing any more", report(probes.NotApplicable, ""), sound, leaks("net.tcp.canary.v4"), "not-applicable, want leak"},
		{"a control lost", lostFlip, sound, Kill{Probes: []string{"net.tcp.canary.v4"}, Control: "C3"}, ""},
		{"a control kept", sound, sound, Kill{Probes: []string{"net.tcp.canary.v4"}, Control: "C3"}, "control C3 holds"},
		{"a control that was never there", lostFlip, lostFlip, Kill{Probes: []string{"net.tcp.canary.v4"}, Control: "C3"}, "did not hold there"},
	} {
		t.Run(c.name, func(t *testing.T) {
			missed := NewRow(mutant(c.kill), virtio, "e", c.broken, c.sound).Missed()
			if c.want == "" && len(missed) > 0 || c.want != "" && (len(missed) != 1 || !strings.Contains(missed[0], c.want)) {
				t.Errorf("%q, want %q", missed, c.want)
			}
		})
	}
}

func TestARefusalHasToBeTheOneThatIsWanted(t *testing.T) {
	for _, c := range []struct {
		row  Row
		dead bool
	}{
		{Row{Mutant: Mutant{RefusedAt: "bundle"}, Refused: "no"}, true},
		{Row{Mutant: Mutant{RefusedAt: "bundle"}}, false},
		{Row{Mutant: mutant(leaks("net.tcp.canary.v4"))}, false},
	} {
		if dead := len(c.row.Missed()) == 0; dead != c.dead {
			t.Errorf("%+v: killed %t", c.row, dead)
		}
	}
}

// An error is no kill and no survival, and it is told.
func TestAnErrorIsToldAndCountsForNothing(t *testing.T) {
	row := NewRow(mutant(leaks("net.tcp.canary.v4")), virtio, "e", report(probes.Leak, probes.Leak), sound)
	row.Error = "the edit took no effect"
	m := Matrix{Rows: []Row{row}}
	if lines := m.Survivors(); len(lines) != 1 || !strings.Contains(lines[0], "took no effect") {
		t.Errorf("%q", lines)
	}
	if kills := m.Kills(); len(kills) > 0 {
		t.Errorf("%v", kills)
	}
}

func TestKillsAreWhatWasFoundAndNotWhatWasLost(t *testing.T) {
	agent := mutant()
	agent.Name, agent.Edit.Agent = "agent", IdleLiar
	m := Matrix{Rows: []Row{
		NewRow(mutant(), virtio, "e", report(probes.Leak, probes.Inconclusive), sound),
		NewRow(mutant(), tsi, "e", report(probes.Leak, probes.Error), sound),
		NewRow(agent, virtio, "e", report(probes.Overblocked, probes.Contained), sound),
		NewRow(mutant(), virtio, "e", report(probes.Contained, probes.Leak), report(probes.Contained, probes.Inconclusive)),
	}}
	if kills := m.Kills(); len(kills) != 1 || len(kills["net.tcp.canary.v4"]) != 1 {
		t.Errorf("%v, want one mutant for one probe", kills)
	}
}

func TestToothless(t *testing.T) {
	m := Matrix{Rows: []Row{NewRow(mutant(), virtio, "e", report(probes.Leak, probes.Contained), sound)}}
	about := func(exceptions []Exception, id string) bool {
		for _, line := range m.Toothless(exceptions) {
			if strings.HasPrefix(line, id+" ") {
				return true
			}
		}
		return false
	}
	excused := Exception{Probe: "net.tcp.loopback.v4", Why: "w"}
	stale := Exception{Probe: "net.tcp.canary.v4", Why: "w"}
	for _, c := range []struct {
		exceptions []Exception
		id         string
		want       bool
	}{
		{nil, "net.tcp.loopback.v4", true},
		{nil, "net.tcp.canary.v4", false},
		{nil, "res.cpu", false}, // medium
		{[]Exception{excused}, "net.tcp.loopback.v4", false},
		{[]Exception{stale}, "net.tcp.canary.v4", true},
	} {
		if have := about(c.exceptions, c.id); have != c.want {
			t.Errorf("%v: %s is told: %t", c.exceptions, c.id, have)
		}
	}
}

// A probe that did not stand on the sound bottle has no teeth there, and the line says so.
func TestToothlessSaysWhatSpoiltAProbe(t *testing.T) {
	vague := report(probes.Inconclusive, probes.Contained)
	vague.Findings[0].Reason = "the host was slow"
	m := Matrix{
		Rows:  []Row{NewRow(mutant(), virtio, "e", report(probes.Leak, probes.Contained), vague)},
		Sound: map[string]probes.Report{virtio.String(): vague},
	}
	id := vague.Findings[0].ID
	want := "the sound bottle on " + virtio.String() + " is inconclusive: the host was slow"
	if lines := strings.Join(m.Toothless(nil), "\n"); !strings.Contains(lines, id) || strings.Count(lines, want) != 1 {
		t.Errorf("%s\nwant %q once, of %s", lines, want, id)
	}
}

func TestThePageStandsAlone(t *testing.T) {
	row := NewRow(mutant(leaks("net.tcp.canary.v4")), virtio, "e", report(probes.Leak, probes.Contained), sound)
	row.Effect = []string{"seen"}
	var page bytes.Buffer
	if err := (Matrix{Kit: "k", Rows: []Row{row}}).WriteHTML(&page); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"a &lt;reason&gt;", "took effect: seen", "net.tcp.canary.v4", `class="c kill"`} {
		if !strings.Contains(page.String(), want) {
			t.Errorf("the page has no %q", want)
		}
	}
	for _, ban := range []string{"http://", "https://", "<script", "a <reason>"} {
		if strings.Contains(page.String(), ban) {
			t.Errorf("the page has %q", ban)
		}
	}
}

func TestRecord(t *testing.T) {
	dir := t.TempDir()
	if r, err := ReadRecord(os.DirFS(dir), "k"); err != nil || len(r.Kills) > 0 {
		t.Errorf("%v %v of nothing", r, err)
	}
	want := Record{Kit: "k", Kills: map[string][]string{"net.tcp.canary.v4": {"m"}}}
	if err := want.Write(dir); err != nil {
		t.Fatal(err)
	}
	if r, err := ReadRecord(os.DirFS(dir), "k"); err != nil || len(r.Kills["net.tcp.canary.v4"]) != 1 {
		t.Errorf("%v %v", r, err)
	}
	if r, _ := ReadRecord(os.DirFS(dir), "other"); len(r.Kills) > 0 {
		t.Errorf("another kit has %v", r)
	}
	if err := (Record{}).Write(dir); err == nil {
		t.Error("a record about nothing was written")
	}
}
