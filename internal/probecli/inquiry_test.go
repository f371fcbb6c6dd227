package probecli

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"bottle.internal/probes"
)

// What a run with an error found is judged, and whoever reads it later sees in every format that the run is not whole.
func TestAskMarksWhatDidNotEnd(t *testing.T) {
	found := probes.Report{
		Schema: probes.Schema, Engine: "smolvm", Version: "1.9.3", Guest: &probes.Guest{},
		Findings: []probes.Finding{{ID: "net.tcp.canary.v4", Severity: probes.Critical, Expect: probes.Contain, Verdict: probes.Contained, Assurance: probes.L1}},
	}
	broken := errors.New("the cable\nis cut")
	for name, c := range map[string]struct {
		err    error
		strict bool
		says   string
		want   probes.Verdict
	}{
		"it did not end":           {broken, false, "the run did not end", probes.Contained},
		"held against a profile":   {broken, true, "the run did not end", probes.Inconclusive},
		"it was not taken away":    {unclean(nil, broken), false, "its findings are judged, and it is not clean", probes.Contained},
		"neither":                  {unclean(broken, errors.New("stuck")), false, "the run did not end", probes.Contained},
		"not taken away, strictly": {unclean(nil, broken), true, "its findings are judged, and it is not clean", probes.Inconclusive},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			s := &settings{stdout: &bytes.Buffer{}, stderr: &bytes.Buffer{}}
			marks := map[string]string{
				"r.txt": "INVALID: ", "r.json": `"invalid": `, "r.xml": `errors="1"`, "r.tap": "not ok 2", "r.sarif": `"executionSuccessful": false`, "r.html": "",
			}
			if c.strict { // the finding is red as well
				marks["r.xml"] = `errors="2"`
			}
			for file := range marks {
				s.outputs = append(s.outputs, filepath.Join(dir, file))
			}
			err := s.ask(t.Context(), inquiry{judgement: judgement{strict: c.strict}}, func(context.Context, probes.Options, []string) (probes.Report, error) {
				return found, c.err
			})
			if !errors.Is(err, broken) || code(err) != ExitHarness {
				t.Errorf("%v", err)
			}
			for file, mark := range marks {
				text, err := os.ReadFile(filepath.Join(dir, file))
				if err != nil || !strings.Contains(string(text), mark) || !strings.Contains(string(text), c.says) {
					t.Errorf("%s lacks %q or %q: %v\n%s", file, mark, c.says, err, text)
				}
			}
			path := filepath.Join(dir, "r.json")
			rep, err := readReport(path)
			if err != nil {
				t.Fatal(err)
			}
			if f := rep.Findings[0]; f.Verdict != c.want {
				t.Errorf("%s", f)
			}
			for _, args := range [][]string{{"report", path}, {"report", path, "--profile", "auto"}, {"diff", path, path}} {
				if code, out, _ := command(t, args...); code == ExitClean || !strings.Contains(out, c.says) {
					t.Errorf("%q: exit %d\n%s", args, code, out)
				}
			}
		})
	}
}

// An error that is all there is leaves no report that could be taken for one; a leak is told all the same.
func TestAskWithoutAGuest(t *testing.T) {
	for verdict, written := range map[probes.Verdict]bool{probes.Error: false, probes.Leak: true} {
		path := filepath.Join(t.TempDir(), "r.json")
		s := &settings{stdout: &bytes.Buffer{}, stderr: &bytes.Buffer{}, outputs: []string{path}}
		err := s.ask(t.Context(), inquiry{}, func(context.Context, probes.Options, []string) (probes.Report, error) {
			return probes.Report{Schema: probes.Schema, Findings: []probes.Finding{{ID: "a", Verdict: verdict}}}, errors.New("gone")
		})
		if _, statErr := os.Stat(path); err == nil || (statErr == nil) != written {
			t.Errorf("%s: %v, %v", verdict, err, statErr)
		}
	}
}
