package probes

import (
	"bytes"
	"encoding/json"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"bottle.internal/internal/golden"
)

// specimen is a report with one finding of every kind.
func specimen() Report {
	leak := sound(TSI)
	leak.trials[0].attempts[1].Sightings = seen(2)
	half := sound(TSI)
	half.path = failed("the allowed destination did not answer after the attempts: 192.0.2.7:8888 filtered")
	half.trials[0].attempts[0].Fault, half.trials[0].attempts[0].Observation = "", Filtered
	half.trials[0].attempts[0] = slow(half.trials[0].attempts[0])
	block := sound(VirtioNet)
	block.trials[0].attempts[0] = tried(1, Intercepted, "")
	block.trials[0].attempts[0].Reply = "HTTP/1.1 200 OK"
	lost := sound(TSI)
	lost.trials[0].attempts[0] = Attempt{Target: "host", Network: "tcp4", Address: loopback, Nonce: nonce(1), Round: 1, Observation: ProbeError, Fault: "not answered"}
	again := reaching()
	again.trials[0].attempts = []Attempt{tried(1, Refused, "ECONNREFUSED"), again.trials[0].attempts[0]}
	none := sound(TSI)
	none.absence = absence{why: "the host has no ::1"}

	r := Report{
		Schema: Schema, Engine: "smolvm", Version: "0.8.0 (simulated)", Backend: TSI, Topology: "bridge", Simulated: true,
		Asked: []string{"allow 192.0.2.7/32"}, Effective: []string{"only 192.0.2.7/32 (known by flag)"}, Allowed: "192.0.2.7", Kit: "0123abcd", Started: testTime, ElapsedMS: 42,
		Guest: &Guest{Kernel: "6.12.87", BootID: "00000000-0000-0000-0000-000000000000", Hostname: "guest", Interfaces: []string{"lo 127.0.0.1/8"}},
	}
	for id, q := range map[string]*question{"a.leak": leak, "b.half-way": half, "c.block-page": block, "d.lost": lost, "e.again": again, "f.none": none, "g.sound": sound(TSI)} {
		q.probe.ID = id
		r.Findings = append(r.Findings, judge(*q))
	}
	sortFindings(r.Findings)
	return r
}

func sortFindings(all []Finding) {
	for i := range all {
		for j := i; j > 0 && all[j].ID < all[j-1].ID; j-- {
			all[j], all[j-1] = all[j-1], all[j]
		}
	}
}

// The JSON form is an interface: a change of it is seen here, and what was written before can still be read.
func TestReportJSON(t *testing.T) {
	want := specimen()
	b, err := json.MarshalIndent(want, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	golden.File(t, "report.json", append(b, '\n'))
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	var got Report
	if err := d.Decode(&got); err != nil {
		t.Fatal(err)
	}
	equal := cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b })
	if diff := cmp.Diff(want, got, equal, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("read back (-want +got):\n%s", diff)
	}
}

func TestReportTable(t *testing.T) { golden.File(t, "report.txt", []byte(specimen().String())) }

func TestWorst(t *testing.T) {
	for _, c := range []struct {
		verdicts []Verdict
		want     Verdict
		exit     int
	}{
		{nil, Error, 4},
		{[]Verdict{NotApplicable, NotApplicable}, Error, 4},
		{[]Verdict{Contained, NotApplicable}, Contained, 0},
		{[]Verdict{Contained, Exposed}, Exposed, 0},
		{[]Verdict{Contained, Inconclusive, Exposed}, Inconclusive, 3},
		{[]Verdict{Inconclusive, Error, Contained}, Error, 4},
		{[]Verdict{Error, Overblocked}, Overblocked, 1},
		{[]Verdict{Overblocked, Leak, Error}, Leak, 1},
		{[]Verdict{Contained, "green"}, "green", 4},
		{[]Verdict{Contained, ""}, "", 4},
	} {
		var r Report
		for _, v := range c.verdicts {
			r.Findings = append(r.Findings, Finding{Verdict: v})
		}
		if got, exit := r.Worst(), r.ExitCode(); got != c.want || exit != c.exit {
			t.Errorf("%q: %q, exit %d; want %q, %d", c.verdicts, got, exit, c.want, c.exit)
		}
	}
}

func TestFindingOfNothing(t *testing.T) {
	if _, err := (Report{}).Finding("net.tcp.loopback.v4"); err == nil {
		t.Error("a probe that did not run has a finding")
	}
}

func TestAssurance(t *testing.T) {
	for held, want := range map[string]Assurance{
		"": L0, "C0": L0, "C1C2": L0, "C0C2C4C3C5": L0, "C0C1C2": L1, "C0C1C2C3C5": L1, "C0C1C2C4": L2, "C0C1C2C4C5": L2, "C0C1C2C4C3": L3, "C0C1C2C4C3C5": L4,
	} {
		var controls []Control
		for ; held != ""; held = held[2:] {
			controls = append(controls, Control{ID: held[:2], State: Held})
		}
		controls = append(controls, Control{ID: "C9", State: Failed})
		if got := assurance(controls); got != want {
			t.Errorf("%v: %s, want %s", controls, got, want)
		}
	}
}

func TestState(t *testing.T) {
	for _, s := range []State{NotChecked, Held, Failed} {
		b, err := s.MarshalText()
		if err != nil {
			t.Fatal(err)
		}
		var back State
		if err := back.UnmarshalText(b); err != nil || back != s {
			t.Errorf("%s came back as %s: %v", s, back, err)
		}
	}
	var s State
	if err := s.UnmarshalText([]byte("no")); err == nil || s != NotChecked {
		t.Errorf("no is %s", s)
	}
	if got := State(9).String(); got != "state 9" {
		t.Error(got)
	}
}
