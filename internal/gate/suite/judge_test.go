package suite

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"bottle.internal/internal/gate/host"
	"bottle.internal/internal/gate/tally"
)

// written is a Ginkgo report of one suite whose specs all have state, with the entries given.
func written(t *testing.T, state string, entries map[string]any) []byte {
	t.Helper()
	type value struct{ AsJSON string }
	type entry struct {
		Name  string
		Value value
	}
	var all []entry
	for name, v := range entries {
		text, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, entry{name, value{string(text)}})
	}
	spec := map[string]any{"LeafNodeType": "It", "LeafNodeText": "holds", "State": state, "ReportEntries": all}
	text, err := json.Marshal([]any{map[string]any{
		"SuiteDescription": "smoke", "SuiteSucceeded": state == "passed" || state == "skipped", "SpecReports": []any{spec},
	}})
	if err != nil {
		t.Fatal(err)
	}
	return text
}

var (
	tsi      = Bottle{"smolvm 0.8.0 (simulated)", "tsi", "bridge", "container"}
	v080     = host.Variant{Personality: "0.8.0", Topology: "bridge", Runtime: "container"}
	realTSI  = Bottle{"smolvm 0.8.0", "tsi", "bridge", "container"}
	leak     = Broken{"allowlist ignored", "loopback-refused/v4", "0.8.0", "leak", "the canary saw the nonce"}
	contains = Broken{"allowlist ignored", "loopback-refused/v4", "0.8.0", "contained", "refused"}
)

func TestJudge(t *testing.T) {
	type m = map[string]any
	for _, c := range []struct {
		name      string
		suite     string
		simulated bool
		variant   host.Variant
		state     string
		entries   m
		exit      error
		count     string
		says      string
	}{
		{"green", "smoke", true, v080, "passed", m{"bottle": tsi}, nil, "1 passed, 0 failed, 0 skipped", ""},
		{"green on the real one", "smoke", false, host.Variant{}, "passed", m{"bottle": realTSI}, nil, "1 passed, 0 failed, 0 skipped", ""},
		{"no bottle entry", "smoke", true, v080, "passed", nil, nil, "1 passed, 1 failed, 0 skipped", "does not say what it was about"},
		{"another personality", "smoke", true, host.Variant{Personality: "1.9.3"}, "passed", m{"bottle": tsi}, nil, "1 passed, 1 failed, 0 skipped", "asked of personality 1.9.3"},
		{"another topology", "smoke", true, host.Variant{Topology: "alias"}, "passed", m{"bottle": tsi}, nil, "1 passed, 1 failed, 0 skipped", "asked of topology alias"},
		{"another runtime", "smoke", true, host.Variant{Runtime: "machine"}, "passed", m{"bottle": tsi}, nil, "1 passed, 1 failed, 0 skipped", "a bundle in a machine"},
		{"the simulator in place of the real one", "smoke", false, host.Variant{}, "passed", m{"bottle": tsi}, nil, "1 passed, 1 failed, 0 skipped", "simulated=false"},
		{"the real one in place of the simulator", "smoke", true, v080, "passed", m{"bottle": realTSI}, nil, "1 passed, 1 failed, 0 skipped", "simulated=true"},
		{"no backend", "smoke", true, v080, "passed", m{"bottle": Bottle{Engine: tsi.Engine, Topology: "bridge", Bundle: "container"}}, nil, "1 passed, 1 failed, 0 skipped", "leaves something open"},
		{"a bottle entry of another shape", "smoke", true, v080, "passed", m{"bottle": 7}, nil, "1 passed, 1 failed, 0 skipped", "report entry"},
		{"exit status against the report", "smoke", true, v080, "passed", m{"bottle": tsi}, errors.New("exit status 2"), "1 passed, 1 failed, 0 skipped", "exit status 2"},
		{"all skipped", "smoke", true, v080, "skipped", m{"bottle": tsi}, nil, "0 passed, 1 failed, 1 skipped", "proves nothing"},
		{"failed", "smoke", true, v080, "failed", m{"bottle": tsi}, errors.New("exit status 1"), "0 passed, 1 failed, 0 skipped", "failed"},
		{"teeth", Teeth, true, v080, "passed", m{"bottle": tsi, "broken": leak}, nil, "1 passed, 0 failed, 0 skipped", ""},
		{"teeth without a broken bottle", Teeth, true, v080, "passed", m{"bottle": tsi}, nil, "1 passed, 1 failed, 0 skipped", "nothing was shown to have teeth"},
		{"a broken bottle that passes", Teeth, true, v080, "passed", m{"bottle": tsi, "broken": contains}, nil, "1 passed, 1 failed, 0 skipped", `is "contained"`},
		{"a broken bottle without a verdict", Teeth, true, v080, "passed", m{"bottle": tsi, "broken": Broken{Mutant: "x"}}, nil, "1 passed, 1 failed, 0 skipped", `is ""`},
		{"a broken bottle that does not apply", Teeth, true, v080, "passed", m{"bottle": tsi, "broken": Broken{Mutant: "x", Verdict: "not-applicable"}}, nil, "1 passed, 1 failed, 0 skipped", "not-applicable"},
	} {
		t.Run(c.name, func(t *testing.T) {
			report, err := tally.Ginkgo(written(t, c.state, c.entries))
			if err != nil {
				t.Fatal(err)
			}
			r := judge(c.suite, c.simulated, c.variant, report, c.exit)
			if r.Tally.String() != c.count {
				t.Errorf("%s, want %s: %q", &r.Tally, c.count, r.Tally.Failures)
			}
			if c.says != "" && (len(r.Tally.Failures) == 0 || !strings.Contains(r.Tally.Failures[0].Reason, c.says)) {
				t.Errorf("the failures %q do not say %q", r.Tally.Failures, c.says)
			}
		})
	}
}

func TestSelect(t *testing.T) {
	all := []Suite{{Name: "smoke"}, {Name: "loopback-refused"}, {Name: Teeth}, {Name: Conformance}, {Name: KillMatrix}}
	for _, c := range []struct{ name, want string }{{"", "smoke loopback-refused"}, {"smoke", "smoke"}, {Teeth, Teeth}} {
		some, err := Select(all, c.name)
		var names []string
		for _, s := range some {
			names = append(names, s.Name)
		}
		if err != nil || strings.Join(names, " ") != c.want {
			t.Errorf("%q: %q, %v; want %q", c.name, names, err, c.want)
		}
	}
	if _, err := Select(all, "smok"); err == nil || !strings.Contains(err.Error(), "loopback-refused") {
		t.Errorf("an unknown suite: %v, want an error that lists the known", err)
	}
	if _, err := Select(nil, ""); err == nil {
		t.Error("no suites at all: want an error")
	}
}
