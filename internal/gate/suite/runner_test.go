package suite

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"bottle.internal/internal/gate/host"
)

// fakeSuite is a test binary that takes the arguments of a real one, writes the report in $REPORT where it is told to and ends
// with $CODE.
const fakeSuite = `#!/bin/sh
for a; do case $a in -ginkgo.json-report=*) [ -z "$REPORT" ] || cp "$REPORT" "${a#*=}";; esac; done
echo "ran $SMOLVM_SIM_VERSION $BOTTLE_TOPOLOGY $BOTTLE_BUNDLE_RUNTIME with $BOTTLE_ENGINE, required $BOTTLE_REQUIRE"
exit $CODE
`

func TestRunner(t *testing.T) {
	for _, c := range []struct {
		name   string
		report bool
		code   string
		count  string
		says   string
	}{
		{"green", true, "0", "1 passed, 0 failed, 0 skipped", ""},
		{"dies with a report that says all is well", true, "2", "1 passed, 1 failed, 0 skipped", "exit status 2"},
		{"no report", false, "0", "0 passed, 1 failed, 0 skipped", "ended without a report"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir, out := t.TempDir(), &strings.Builder{}
			bin, report := filepath.Join(dir, "smoke.test"), filepath.Join(dir, "report")
			write(t, bin, fakeSuite)
			write(t, report, string(written(t, "passed", map[string]any{"bottle": tsi})))
			t.Setenv("CODE", c.code)
			t.Setenv("REPORT", map[bool]string{true: report}[c.report])
			r := Runner{Root: dir, Artifacts: filepath.Join(dir, "artifacts"), Bin: dir, Out: out,
				Engine: host.Engine{Simulated: true}}
			// What an earlier run left must not count.
			stale := filepath.Join(r.Artifacts, "smoke", v080.String(), "report.json")
			if err := os.MkdirAll(filepath.Dir(stale), 0o755); err != nil {
				t.Fatal(err)
			}
			write(t, stale, string(written(t, "passed", map[string]any{"bottle": tsi})))

			res := r.one(t.Context(), Suite{Name: "smoke", Dir: dir}, v080, bin)
			if res.Tally.String() != c.count {
				t.Errorf("%s, want %s", &res.Tally, c.count)
			}
			if c.says != "" && !strings.Contains(res.Tally.Failures[0].Reason, c.says) {
				t.Errorf("%q does not say %q", res.Tally.Failures, c.says)
			}
			if want := "ran 0.8.0 bridge container with sim, required 1"; !strings.Contains(out.String(), want) {
				t.Errorf("its environment: %q, want %q", out, want)
			}
		})
	}
}

func TestTables(t *testing.T) {
	var out strings.Builder
	r := Result{Suite: Teeth, Variant: v080, Bottles: []Bottle{tsi}, Broken: []Broken{leak}, Ran: 3, Of: 4, Seconds: 4.2}
	r.Tally.Skip(Teeth, "x", "y")
	Table(&out, []Result{r, {Suite: "smoke"}})
	BrokenTable(&out, []Result{r})
	for _, want := range []string{
		"teeth  0.8.0-bridge-container  3    4   0       1        smolvm 0.8.0 (simulated)  tsi      bridge    container  4.2\n",
		"smoke  installed               0    0   0       0        ?",
		"allowlist ignored  loopback-refused/v4  0.8.0-bridge-container  0.8.0   leak     the canary saw the nonce\n",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the tables have no line\n%q:\n%s", want, &out)
		}
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
}
