package reports

import (
	"fmt"
	"strings"
	"testing"

	"bottle.internal/internal/golden"
	"bottle.internal/probes"
)

// at is a finding with the verdict and the level of assurance that s names, nil for "-".
func at(s string) *probes.Finding {
	if s == "-" {
		return nil
	}
	verdict, level, _ := strings.Cut(s, " ")
	return &probes.Finding{ID: "x", Verdict: probes.Verdict(verdict), Assurance: probes.Assurance(level)}
}

// beside is a report of a probe that is contained, and of f.
func beside(f *probes.Finding) probes.Report {
	r := probes.Report{Findings: []probes.Finding{{ID: "other", Verdict: probes.Contained}}}
	if f != nil {
		r.Findings = append(r.Findings, *f)
	}
	return r
}

// diffCases are what becomes of one probe, by its verdict and assurance in two reports.
var diffCases = []struct {
	old, new string
	want     Change
	red      bool
}{
	{"contained L2", "contained L2", Unchanged, false},
	{"contained L2", "contained L4", Unchanged, false},
	{"contained L2", "leak L1", Regressed, true},
	{"contained L2", "overblocked L2", Regressed, true},
	{"contained L2", "inconclusive L2", Regressed, true},
	{"contained L2", "error", Regressed, true},
	{"contained L2", "exposed L2", Regressed, true},
	{"contained L2", "green L2", Regressed, true},
	{"exposed L2", "leak L2", Regressed, true}, // the waiver is over
	{"inconclusive L1", "leak L1", Regressed, true},
	{"inconclusive L1", "error L1", Regressed, true},
	{"leak L1", "contained L1", Fixed, false},
	{"leak L3", "contained L1", Fixed, false},
	{"exposed L1", "contained L1", Fixed, false},
	{"error", "contained L2", Fixed, false},
	{"leak L1", "exposed L1", Unchanged, false},
	{"leak L1", "inconclusive L1", Unchanged, false}, // not fixed: nothing is known
	{"leak L1", "leak L1", Unchanged, false},
	{"contained L3", "contained L1", AssuranceDropped, true},
	{"contained L1", "contained L0", AssuranceDropped, true},
	{"contained L1", "contained", AssuranceDropped, true},
	{"contained L1", "contained L9", AssuranceDropped, true},
	{"contained L2", "-", Gone, true},
	{"leak L1", "-", Gone, true},
	{"contained L2", "not-applicable", Gone, true},
	{"leak L1", "not-applicable", Gone, true}, // not fixed: it is not asked any more
	{"not-applicable", "-", Gone, true},
	{"not-applicable", "not-applicable", Unchanged, false},
	{"not-applicable", "contained L1", New, false},
	{"not-applicable", "leak L1", Regressed, true},
	{"not-applicable", "inconclusive L1", Regressed, true},
	{"-", "contained L1", New, false},
	{"-", "exposed L1", New, false},
	{"-", "leak L1", New, true},
	{"-", "inconclusive L1", New, true},
	{"-", "not-applicable", New, false},
}

func TestDiff(t *testing.T) {
	for _, c := range diffCases {
		d := Diff(beside(at(c.old)), beside(at(c.new)))
		e := entryOf(t, d, "x")
		if e.Change != c.want || e.Red() != c.red || (d.ExitCode() == 1) != c.red || d.Invalid != "" {
			t.Errorf("%s → %s: %s, red %t, exit %d, invalid %q; want %s, red %t", c.old, c.new, e.Change, e.Red(), d.ExitCode(), d.Invalid, c.want, c.red)
		}
		if len(d.Entries) != 2 || d.Count(c.want) == 0 || len(d.Unlike) > 0 {
			t.Errorf("%s → %s: %d entries, %d of them %s, unlike %q", c.old, c.new, len(d.Entries), d.Count(c.want), c.want, d.Unlike)
		}
	}
}

func entryOf(t *testing.T, d Difference, id string) Entry {
	t.Helper()
	for _, e := range d.Entries {
		if e.ID == id {
			return e
		}
	}
	t.Fatalf("no entry of %q in %v", id, d)
	return Entry{}
}

// of is a report of a contained probe in one bottle, edited.
func of(edit func(*probes.Report)) probes.Report {
	r := beside(at("contained L2"))
	r.Engine, r.Version, r.Backend, r.Topology, r.Profile, r.Kit = "smolvm", "1.9.3", "virtio-net", "bridge", "strict", "aa"
	r.Allowed, r.Asked, r.Effective = "10.77.3.2", []string{"allow 10.77.3.2/32"}, []string{"only 10.77.3.2: known by flag, floor metadata"}
	if edit != nil {
		edit(&r)
	}
	return r
}

// What the reports are of is told where it differs, and another policy that was asked for makes the comparison none. What got worse is
// red all the same.
func TestDiffOfUnlikeReports(t *testing.T) {
	for _, c := range []struct {
		name string
		edit func(*probes.Report)
		want string // what the one line begins with; "" is none
		exit int
	}{
		{"nothing", nil, "", 0},
		{"another bottle", func(r *probes.Report) {
			r.Allowed, r.Asked, r.Effective = "10.77.99.20", []string{"allow 10.77.99.20/32"}, []string{"only 10.77.99.20: known by flag, floor metadata"}
		}, "", 0},
		{"release", func(r *probes.Report) { r.Version = "1.9.4" }, "engine: smolvm 1.9.3 → smolvm 1.9.4", 0},
		{"engine", func(r *probes.Report) { r.Engine = "docker" }, "engine: ", 0},
		{"backend", func(r *probes.Report) { r.Backend = "tsi" }, "backend: virtio-net → tsi", 0},
		{"topology", func(r *probes.Report) { r.Topology = "" }, "topology: bridge → none", 0},
		{"profile", func(r *probes.Report) { r.Profile = "lenient" }, "profile: ", 0},
		{"kit", func(r *probes.Report) { r.Kit = "bb" }, "kit: aa → bb", 0},
		{"in force", func(r *probes.Report) { r.Effective = []string{"only 10.77.3.2: known by flag, floor off"} }, "policy effective: ", 0},
		{"wider", func(r *probes.Report) { r.Asked = []string{"allow 10.77.3.2/24"} }, "policy asked for: ", 4},
		{"one more", func(r *probes.Report) { r.Asked = append(r.Asked, "allow 10.77.3.20/32") }, "policy asked for: ", 4},
		{"none", func(r *probes.Report) { r.Asked = nil }, "policy asked for: ", 4},
		{"elsewhere", func(r *probes.Report) { r.Asked = []string{"allow 8.8.8.8/32"} }, "policy asked for: allow {allowed}/32 → allow 8.8.8.8/32", 4},
	} {
		d := Diff(of(nil), of(c.edit))
		if (len(d.Unlike) == 1) != (c.want != "") || !strings.HasPrefix(strings.Join(d.Unlike, ""), c.want) || d.ExitCode() != c.exit || len(d.Unlike) > 1 {
			t.Errorf("%s: %q, exit %d; want %q, exit %d", c.name, d.Unlike, d.ExitCode(), c.want, c.exit)
		}
		if c.want != "" && !strings.Contains(d.String(), "UNLIKE "+c.want) {
			t.Errorf("%s is not shown:\n%s", c.name, d)
		}
		worse := of(c.edit)
		worse.Findings = worse.Findings[:1]
		less := of(c.edit)
		less.Findings[1].Assurance = probes.L1
		if gone, dropped := Diff(of(nil), worse), Diff(of(nil), less); gone.ExitCode() != 1 || dropped.ExitCode() != 1 {
			t.Errorf("%s: exit %d without a probe, %d with less behind it", c.name, gone.ExitCode(), dropped.ExitCode())
		}
	}
}

// What cannot be compared is never green.
func TestDiffOfWhatCannotBeCompared(t *testing.T) {
	sound, invalid, simulated := beside(nil), beside(nil), beside(nil)
	invalid.Invalid, simulated.Simulated = "half of it is inconclusive", true
	for name, c := range map[string]struct {
		old, new probes.Report
		exit     int
	}{
		"nothing at all":     {exit: 4},
		"no old one":         {new: sound, exit: 4},
		"no new one":         {old: sound, exit: 1}, // its probes are gone
		"old invalid":        {invalid, sound, 4},
		"new invalid":        {sound, invalid, 4},
		"a VM, a simulator":  {sound, simulated, 4},
		"a simulator, a VM":  {simulated, sound, 0},
		"simulators":         {simulated, simulated, 0},
		"invalid and a leak": {sound, probes.Report{Invalid: "x", Findings: []probes.Finding{{ID: "other", Verdict: probes.Leak}}}, 1},
	} {
		if d := Diff(c.old, c.new); d.ExitCode() != c.exit || (d.Invalid == "") != (c.exit == 0) {
			t.Errorf("%s: exit %d, invalid %q; want %d", name, d.ExitCode(), d.Invalid, c.exit)
		}
	}
	if (Difference{}).ExitCode() == 0 || !(Entry{}).Red() {
		t.Error("nothing is green")
	}
}

// An id that occurs twice counts as its worst.
func TestDiffOfTwins(t *testing.T) {
	for _, twins := range [][]probes.Finding{{*at("leak L1"), *at("contained L1")}, {*at("contained L1"), *at("leak L1")}} {
		if d := Diff(beside(at("contained L1")), probes.Report{Findings: twins}); d.Count(Regressed) != 1 {
			t.Errorf("%v", d)
		}
	}
}

func TestDiffTable(t *testing.T) {
	old, next := specimen(), specimen()
	next.Version, next.Started = "1.9.3 (simulated)", testTime.AddDate(0, 0, 1)
	for i := range next.Findings {
		switch f := &next.Findings[i]; f.ID {
		case "net.tcp.loopback.v4":
			f.Assurance = probes.L1
		case "net.tcp.public.v4":
			f.Verdict, f.Reason = probes.Contained, "denied EACCES"
		case "net.tcp.resolver.other-port":
			f.Verdict = probes.Leak
		case "net.udp.quic":
			f.ID, f.Verdict, f.Reason = "net.udp.ntp", probes.Contained, "denied \x1b[2J"
		case "net.tcp.allowed.v4":
			f.Verdict = probes.Inconclusive
		}
	}
	golden.File(t, "diff.txt", []byte(Diff(old, next).String()))
}

func TestDiffTableStaysATable(t *testing.T) {
	want := strings.Count(Diff(hostile("x"), hostile("x")).String(), "\n")
	for _, p := range payloads {
		got := Diff(hostile(p), hostile(p)).String()
		if strings.Count(got, "\n") != want || strings.ContainsAny(got, "\x00\x1b\u202e") {
			t.Errorf("%q: %q", p, got)
		}
	}
}

func ExampleDiff() {
	before := probes.Report{Engine: "smolvm", Version: "1.9.2", Findings: []probes.Finding{
		{ID: "net.tcp.loopback.v4", Verdict: probes.Contained, Assurance: probes.L3}, {ID: "net.tcp.public.v4", Verdict: probes.Contained, Assurance: probes.L3},
	}}
	after := probes.Report{Engine: "smolvm", Version: "1.9.3", Findings: []probes.Finding{
		{ID: "net.tcp.loopback.v4", Verdict: probes.Contained, Assurance: probes.L1},
	}}
	d := Diff(before, after)
	for _, e := range d.Entries {
		fmt.Println(e.ID, e.Change)
	}
	fmt.Println(d.ExitCode())
	// Output:
	// net.tcp.public.v4 gone
	// net.tcp.loopback.v4 assurance-dropped
	// 1
}
