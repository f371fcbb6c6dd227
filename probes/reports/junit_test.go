package reports

import (
	"bytes"
	"encoding/xml"
	"strings"
	"testing"

	"bottle.internal/internal/golden"
	"bottle.internal/probes"
)

func TestJUnitGolden(t *testing.T) {
	staticCatalogue(t)
	golden.File(t, "report.xml", rendered(t, WriteJUnit, specimen()))
}

// A suiteRead is JUnit's XML as a CI system reads it, by structs that the writer does not share.
type suiteRead struct {
	Suites []struct {
		Name       string `xml:"name,attr"`
		Tests      int    `xml:"tests,attr"`
		Failures   int    `xml:"failures,attr"`
		Errors     int    `xml:"errors,attr"`
		Skipped    int    `xml:"skipped,attr"`
		Properties []struct {
			Name  string `xml:"name,attr"`
			Value string `xml:"value,attr"`
		} `xml:"properties>property"`
		Cases []caseRead `xml:"testcase"`
	} `xml:"testsuite"`
}

type caseRead struct {
	Name      string `xml:"name,attr"`
	Classname string `xml:"classname,attr"`
	Failure   []struct {
		Type string `xml:"type,attr"`
		Text string `xml:",chardata"`
	} `xml:"failure"`
	Error []struct {
		Type string `xml:"type,attr"`
	} `xml:"error"`
	Skipped []struct {
		Message string `xml:"message,attr"`
	} `xml:"skipped"`
	Out string `xml:"system-out"`
}

// outcome is what became of the case, as a CI system sees it.
func (c caseRead) outcome() string {
	switch {
	case len(c.Failure) > 0:
		return "failure"
	case len(c.Error) > 0:
		return "error"
	case len(c.Skipped) > 0:
		return "skipped"
	}
	return "passed"
}

func readJUnit(t *testing.T, b []byte) suiteRead {
	t.Helper()
	var s suiteRead
	if err := xml.Unmarshal(b, &s); err != nil {
		t.Fatal(err)
	}
	if len(s.Suites) != 1 {
		t.Fatalf("%d suites", len(s.Suites))
	}
	return s
}

var outcomes = map[probes.Verdict]string{
	probes.Leak: "failure", probes.Overblocked: "failure", probes.Inconclusive: "error", probes.Error: "error", "green": "error", "": "error",
	probes.NotApplicable: "skipped", probes.Contained: "passed", probes.Exposed: "passed",
}

func TestJUnitReadBack(t *testing.T) {
	r := specimen()
	r.Findings = append(r.Findings, probes.Finding{ID: "a.b", Verdict: "green"}, probes.Finding{ID: "a.c"})
	suite := readJUnit(t, rendered(t, WriteJUnit, r)).Suites[0]
	counted := map[string]int{}
	if len(suite.Cases) != len(r.Findings) {
		t.Fatalf("%d cases of %d findings", len(suite.Cases), len(r.Findings))
	}
	for i, c := range suite.Cases {
		f := r.Findings[i]
		if c.Name != f.ID || c.outcome() != outcomes[f.Verdict] {
			t.Errorf("%s is %s, want %s %s", c.Name, c.outcome(), f.ID, outcomes[f.Verdict])
		}
		counted[c.outcome()]++
	}
	if suite.Tests != len(r.Findings) || suite.Failures != counted["failure"] || suite.Errors != counted["error"] || suite.Skipped != counted["skipped"] {
		t.Errorf("it says %d tests, %d failures, %d errors, %d skipped, and has %v", suite.Tests, suite.Failures, suite.Errors, suite.Skipped, counted)
	}
	said := map[string]string{}
	for _, p := range suite.Properties {
		said[p.Name] = p.Value
	}
	for name, want := range map[string]string{"engine": "smolvm", "version": "0.8.0 (simulated)", "backend": "tsi", "topology": "bridge", "simulated": "true"} {
		if said[name] != want {
			t.Errorf("property %s is %q, want %q", name, said[name], want)
		}
	}
}

func TestJUnitNamesWhatCounts(t *testing.T) {
	for _, c := range readJUnit(t, rendered(t, WriteJUnit, specimen())).Suites[0].Cases {
		switch c.Name {
		case "net.tcp.resolver.other-port":
			if !strings.Contains(c.Out, "smolvm#1060") {
				t.Errorf("an exposed case does not name its waiver: %q", c.Out)
			}
		case "net.tcp.public.v4":
			if !strings.Contains(c.Failure[0].Text, "C4 failed") || c.Classname != "net.tcp" {
				t.Errorf("a leak without evidence, or of family %s: %q", c.Classname, c.Failure[0].Text)
			}
		case "net.tcp.loopback.v6":
			if c.Skipped[0].Message != "the host has no ::1" {
				t.Errorf("skipped because %q", c.Skipped[0].Message)
			}
		}
	}
}

// A report that is red beyond its findings is red in CI.
func TestJUnitOfNothing(t *testing.T) {
	invalid := probes.Report{Invalid: "half of it is inconclusive", Findings: []probes.Finding{{ID: "a", Verdict: probes.Contained}}}
	skipped := probes.Report{Findings: []probes.Finding{{ID: "a", Verdict: probes.NotApplicable}}}
	for _, r := range []probes.Report{{}, skipped, invalid} {
		suite := readJUnit(t, rendered(t, WriteJUnit, r)).Suites[0]
		if suite.Errors != 1 || suite.Cases[len(suite.Cases)-1].outcome() != "error" {
			t.Errorf("%+v: %+v", r, suite)
		}
	}
}

func TestJUnitStaysWhole(t *testing.T) {
	for _, p := range payloads {
		b := rendered(t, WriteJUnit, hostile(p))
		if bytes.ContainsAny(b, "\x00\x1b\u202e\u2066\u2028") {
			t.Errorf("%q came through as it was", p)
		}
		suite := readJUnit(t, b).Suites[0]
		if len(suite.Cases) != 3 || suite.Errors != 3 { // two findings of no verdict, and an invalid report
			t.Errorf("%q: %d cases, %d errors", p, len(suite.Cases), suite.Errors)
		}
	}
}
