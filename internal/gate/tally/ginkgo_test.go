package tally

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Recorded with Ginkgo 2.34: a green suite; one with a failed, a skipped, a pending and a panicking spec; a BeforeSuite that
// fails, one that skips; a spec that outlives -ginkgo.timeout; a focused spec; a filter that selects nothing.
func TestGinkgo(t *testing.T) {
	for _, c := range []struct {
		name  string
		count string
		first string // the first failure
		says  string
		skip  string // reason of the first skip
	}{
		{"green", "3 passed, 0 failed, 0 skipped", "", "", ""},
		{"mixed", "1 passed, 2 failed, 2 skipped", "smoke: a bottle passes an exit code on", "want 3, have 0", "not-applicable: the simulator shares the host's kernel"},
		{"noboot", "0 passed, 1 failed, 0 skipped", "smoke: [BeforeSuite]", "machine start: exit 1", ""},
		{"skipboot", "0 passed, 0 failed, 3 skipped", "", "", "needs smolvm on PATH"},
		{"hang", "2 passed, 1 failed, 1 skipped", "smoke: a bottle hangs", "timedout: A suite timeout occurred", "not-applicable: the simulator shares the host's kernel"},
		{"focus", "1 passed, 1 failed, 3 skipped", "smoke", "focused spec", "not selected"},
		{"empty", "0 passed, 1 failed, 3 skipped", "smoke", "no specs ran", "not selected"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := parse(t, recorded(t, "ginkgo-"+c.name+".json"))
			have := r.Tally()
			if have.String() != c.count {
				t.Errorf("%s, want %s", &have, c.count)
			}
			if c.first != "" && (len(have.Failures) == 0 || have.Failures[0].String() != c.first || !strings.Contains(have.Failures[0].Reason, c.says)) {
				t.Errorf("the failures are %q, want first %q that says %q", have.Failures, c.first, c.says)
			}
			if c.skip != "" && (len(have.Skips) == 0 || have.Skips[0].Reason != c.skip) {
				t.Errorf("the skips are %q, want first because %q", have.Skips, c.skip)
			}
		})
	}
}

func parse(t *testing.T, b []byte) *SuiteReport {
	t.Helper()
	r, err := Ginkgo(b)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestRanCountsSpecsOnly(t *testing.T) {
	for name, want := range map[string]int{"green": 3, "mixed": 3, "noboot": 0, "skipboot": 0, "hang": 3, "focus": 1, "empty": 0} {
		if have := parse(t, recorded(t, "ginkgo-"+name+".json")).Ran(); have != want {
			t.Errorf("%s: %d specs ran, want %d", name, have, want)
		}
	}
}

func TestUnknownStateIsAFailure(t *testing.T) {
	text := strings.ReplaceAll(string(recorded(t, "ginkgo-green.json")), `"State": "passed"`, `"State": "splendid"`)
	have := parse(t, []byte(text)).Tally()
	if have.Passed != 0 || len(have.Failures) != 4 { // three specs and BeforeSuite
		t.Errorf("%s, want 0 passed, 4 failed", &have)
	}
}

func TestReportOfNoOrTwoSuitesIsRefused(t *testing.T) {
	for _, text := range []string{"", "[]", "{}", "[null]", "[{},{}]", "null"} {
		if r, err := Ginkgo([]byte(text)); err == nil {
			t.Errorf("%q: %+v, want an error", text, r)
		}
	}
}

func TestEntries(t *testing.T) {
	type bottle struct{ Engine, Backend, Topology, Bundle string }
	sim := bottle{"smolvm 0.8.0 (simulated)", "tsi", "bridge", "container"}
	have, err := Entries[bottle](parse(t, recorded(t, "ginkgo-green.json")), "bottle")
	if err != nil {
		t.Fatal(err)
	}
	// One was recorded as JSON text by BeforeSuite, one as a struct by a spec.
	if d := cmp.Diff([]bottle{sim, sim}, have); d != "" {
		t.Error(d)
	}
	none, err := Entries[bottle](parse(t, recorded(t, "ginkgo-green.json")), "broken")
	if err != nil || len(none) != 0 {
		t.Errorf("%v, %v, want none", none, err)
	}
	if _, err := Entries[int](parse(t, recorded(t, "ginkgo-green.json")), "bottle"); err == nil {
		t.Error("an object was taken for a number")
	}
}
