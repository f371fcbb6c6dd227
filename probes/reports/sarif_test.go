package reports

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"bottle.internal/internal/golden"
	"bottle.internal/probes"
)

func TestSARIFGolden(t *testing.T) {
	staticCatalogue(t)
	golden.File(t, "report.sarif", rendered(t, WriteSARIF, specimen()))
}

// schema is the standard's own, errata 01, from docs.oasis-open.org by way of go-sarif, which holds it as a string of its own.
func schema(t testing.TB) *jsonschema.Schema {
	t.Helper()
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	s, err := c.Compile("testdata/sarif-schema-2.1.0.json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func validate(s *jsonschema.Schema, b []byte) error {
	log, err := jsonschema.UnmarshalJSON(bytes.NewReader(b))
	if err != nil {
		return err
	}
	return s.Validate(log)
}

func TestSARIFIsValid(t *testing.T) {
	s := schema(t)
	all := []probes.Report{specimen(), {}, {Invalid: "half of it is inconclusive"}}
	for _, p := range payloads {
		r := hostile(p)
		r.Findings[0].Verdict, r.Findings[0].ID, r.Findings[1].Verdict = probes.Leak, r.Findings[0].ID+"2", probes.Exposed
		all = append(all, r, hostile(p))
	}
	for _, r := range all {
		b := rendered(t, WriteSARIF, r)
		if err := validate(s, b); err != nil {
			t.Errorf("%q: %v", r.Engine, err)
		}
		if bytes.ContainsAny(b, "\u202e\u2066") || bytes.Contains(b, []byte(`\u001b`)) {
			t.Errorf("%q came through as it was", r.Engine)
		}
	}
}

// The schema is one that can say no.
func TestSARIFSchemaBites(t *testing.T) {
	s := schema(t)
	whole := rendered(t, WriteSARIF, specimen())
	for from, to := range map[string]string{
		`"version": "2.1.0"`: `"version": "2.0.0"`, `"level": "error"`: `"level": "fatal"`, `"status": "accepted"`: `"status": "fine"`,
		`"executionSuccessful": true`: `"success": true`, `"uri": "bottle/`: `"uri": "%zz/`,
	} {
		broken := bytes.Replace(whole, []byte(from), []byte(to), 1)
		if bytes.Equal(broken, whole) || validate(s, broken) == nil {
			t.Errorf("%s is as good as %s", to, from)
		}
	}
}

// A sarifRead is what code scanning reads of a log, by structs that the writer does not share.
type sarifRead struct {
	Runs []struct {
		Tool struct {
			Driver struct {
				Rules []struct {
					ID   string
					Help struct{ Text, Markdown string }
				}
			}
		}
		Invocations []struct {
			ExecutionSuccessful        bool
			ExitCode                   int
			ToolExecutionNotifications []struct{ Level string }
		}
		Results    []resultRead
		Properties map[string]any
	}
}

type resultRead struct {
	RuleID, Kind, Level string
	RuleIndex           int
	Message             struct{ Text string }
	PartialFingerprints map[string]string
	Locations           []struct {
		PhysicalLocation struct{ ArtifactLocation struct{ URI string } }
	}
	Suppressions []struct{ Kind, Status, Justification string }
}

func readSARIF(t *testing.T, r probes.Report) sarifRead {
	t.Helper()
	var log sarifRead
	if err := json.Unmarshal(rendered(t, WriteSARIF, r), &log); err != nil {
		t.Fatal(err)
	}
	if len(log.Runs) != 1 || len(log.Runs[0].Invocations) != 1 {
		t.Fatalf("%d runs", len(log.Runs))
	}
	return log
}

func TestSARIFReadBack(t *testing.T) {
	r := specimen()
	r.Findings = append(r.Findings, probes.Finding{ID: "a.b", Verdict: "green", Severity: probes.Low})
	run := readSARIF(t, r).Runs[0]
	results := map[string]resultRead{}
	for _, res := range run.Results {
		results[res.RuleID] = res
		if res.Kind != "fail" || len(res.Locations) != 1 || res.PartialFingerprints["probeTarget/v1"] == "" || run.Tool.Driver.Rules[res.RuleIndex].ID != res.RuleID {
			t.Errorf("%+v", res)
		}
	}
	for i, f := range r.Findings {
		if rule := run.Tool.Driver.Rules[i]; rule.ID != f.ID || catalogue()[f.ID].ID != "" && !strings.Contains(rule.Help.Text, catalogue()[f.ID].Remedy) {
			t.Errorf("rule %d is %q", i, rule.ID)
		}
		res, there := results[f.ID]
		if there != (f.Verdict != probes.Contained && f.Verdict != probes.NotApplicable) {
			t.Errorf("%s is %s: a result %t", f.ID, f.Verdict, there)
		}
		if (len(res.Suppressions) > 0) != (f.Verdict == probes.Exposed) {
			t.Errorf("%s is %s: %+v", f.ID, f.Verdict, res.Suppressions)
		}
	}
	if s := results["net.tcp.resolver.other-port"].Suppressions[0]; s.Status != "accepted" || !strings.Contains(s.Justification, "smolvm#1060") {
		t.Errorf("%+v", s)
	}
	for id, level := range map[string]string{"net.tcp.public.v4": "error", "net.udp.quic": "warning", "a.b": "note"} {
		if results[id].Level != level {
			t.Errorf("%s is a %s", id, results[id].Level)
		}
	}
	if run.Properties["simulated"] != true || run.Properties["backend"] != "tsi" || !run.Invocations[0].ExecutionSuccessful {
		t.Errorf("%v %+v", run.Properties, run.Invocations)
	}
}

// A scan without results is a clean one only where something was executed.
func TestSARIFOfNothing(t *testing.T) {
	for _, r := range []probes.Report{{}, {Invalid: "x", Findings: []probes.Finding{{ID: "a", Verdict: probes.Contained}}}} {
		i := readSARIF(t, r).Runs[0].Invocations[0]
		if i.ExecutionSuccessful || i.ExitCode == 0 || !slices.ContainsFunc(i.ToolExecutionNotifications, func(n struct{ Level string }) bool { return n.Level == "error" }) {
			t.Errorf("%+v", i)
		}
	}
}

func TestSARIFTextMakesNoLink(t *testing.T) {
	for in, want := range map[string]string{
		"[click](http://192.0.2.1)": `[click\](http://192.0.2.1)`, "{0} {1}": "{{0}} {{1}}", "[fd00::2]:53 denied": "[fd00::2]:53 denied",
	} {
		if got := sarifText(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

// The fingerprint of a leak outlives the run: ports, decoys and the bottle's network are drawn anew each time.
func TestStable(t *testing.T) {
	for in, want := range map[string]string{
		"world":               "world",
		"bundle egress":       "bundle egress",
		"host 127.0.0.1 udp":  "host 127.0.0.1 udp",
		"host ::1":            "host ::1",
		"127.0.0.1:26468":     "127.0.0.1",
		"[::]:27621":          "::",
		"host 10.77.12.1 udp": "host private udp",
		"host fd00::2 udp":    "host private udp",
		"host 198.51.100.7":   "host 198.51.100.7",
		"host /tmp/bottle-2783812910/canary.sock":                     "host /tmp/bottle-*/canary.sock",
		"decoy /root/.bottle-canary-275e05b965a2fb45e0f2d9094c346ff7": "decoy /root/.bottle-canary-*",
		"host 10.77.12.1, behind the proxy":                           "host private, behind the proxy",
		"":                                                            "",
	} {
		if got := stable(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

func TestPlaces(t *testing.T) {
	f := leaking("a", probes.Leak)
	quiet := finding("a", probes.Leak, "").Attempts[0]
	other := f.Attempts[0]
	other.Target = "host 10.1.2.3"
	f.Attempts = append(f.Attempts, quiet, other, other)
	if got := places(f); len(got) != 2 || got[0].name != "world" || got[1].name != "host private" || got[0].fingerprint("a") == got[1].fingerprint("a") || got[0].fingerprint("a") == got[0].fingerprint("b") {
		t.Errorf("%v", got)
	}
	if got := places(probes.Finding{Verdict: probes.Leak}); len(got) != 1 {
		t.Errorf("a leak without an attempt: %v", got)
	}
	f.Verdict = probes.Inconclusive
	if got := places(f); len(got) != 1 || got[0].name != "world, host 127.0.0.1, host private" {
		t.Errorf("%v", got)
	}
}
