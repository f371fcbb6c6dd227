package probecli

import (
	"errors"
	"testing"

	"bottle.internal/probes"
	"bottle.internal/probes/mutants"
)

func TestMutantsNamed(t *testing.T) {
	all, err := mutantsNamed(nil)
	if err != nil || len(all) != len(mutants.All()) {
		t.Errorf("%d mutants, %v", len(all), err)
	}
	some, err := mutantsNamed([]string{"allowlist-*", mutants.All()[0].Name})
	if err != nil || len(some) == 0 || len(some) >= len(all) {
		t.Errorf("%d mutants, %v", len(some), err)
	}
	for _, p := range []string{"none-such", "["} {
		if _, err := mutantsNamed([]string{p}); err == nil {
			t.Errorf("%s names a mutant", p)
		}
	}
}

// A mutant that survives is red, one of which nothing is known is no better than a question that was not answered.
func TestSelftestOutcome(t *testing.T) {
	m := mutants.All()[0]
	row := mutants.Row{Mutant: m, On: m.On[0]}
	unknown, survives := row, row
	unknown.Error = "it could not be built"
	survives.Cells = map[string]mutants.Cell{}
	for _, p := range probes.All() {
		survives.Cells[p.ID] = mutants.Cell{Verdict: probes.Contained, Sound: probes.Contained}
	}
	s := &settings{}
	for want, rows := range map[int][]mutants.Row{ExitClean: nil, ExitInconclusive: {unknown}, ExitLeak: {survives}} {
		err := s.outcome(mutants.Matrix{Rows: rows}, false)
		var exit *exitError
		got := ExitClean
		if errors.As(err, &exit) {
			got = exit.code
		}
		if got != want {
			t.Errorf("%v: exit %d, want %d: %v", rows, got, want, err)
		}
	}
}
