package mutants

import (
	"slices"
	"testing"

	"bottle.internal/probes"
)

const enough = 30

func TestAllSaysWhatItHasTo(t *testing.T) {
	all := All()
	if len(all) < enough {
		t.Errorf("%d mutants, want %d", len(all), enough)
	}
	names := map[string]bool{}
	for _, m := range all {
		if names[m.Name] {
			t.Errorf("%s is there twice", m.Name)
		}
		names[m.Name] = true
		if m.Breaks == "" || m.Reference == "" || len(m.On) == 0 || !slices.Contains([]Kind{SimulatorFault, Fixture, Bundle, Container}, m.Kind) {
			t.Errorf("%s leaves something open: %+v", m.Name, m)
		}
		if (len(m.Kills) == 0) == (m.RefusedAt == "") {
			t.Errorf("%s has to be noticed by probes or refused by the launch: %+v", m.Name, m)
		}
		if !m.Edit.Relaunches() && m.Edit.Agent == "" && m.Edit.Canaries == "" && m.Edit.World == "" {
			t.Errorf("%s breaks nothing", m.Name)
		}
		for _, k := range m.Kills {
			if _, err := probes.Select(k.Probes...); err != nil || len(k.Probes) == 0 {
				t.Errorf("%s: %v", m.Name, err)
			}
			if k.Control == "" && !slices.Contains(red, k.Verdict) {
				t.Errorf("%s wants %q, which is not red", m.Name, k.Verdict)
			}
		}
	}
}

func TestExceptionsAreOfSeriousProbes(t *testing.T) {
	for _, e := range Exceptions {
		p, err := probes.Lookup(e.Probe)
		if err != nil || e.Why == "" || p.Severity != probes.Critical && p.Severity != probes.High {
			t.Errorf("%+v: %v, severity %s", e, err, p.Severity)
		}
	}
}
