package probes

import (
	"context"
	"errors"
	"strings"
	"testing"
)

func TestSidecarConfinement(t *testing.T) {
	sound := Confinement{Witness: "one", User: "65532"}
	for _, c := range []struct {
		name  string
		edit  func(all []Confinement) []Confinement
		want  Verdict
		level Assurance
		says  string
	}{
		{"both agree", func(all []Confinement) []Confinement { return all }, Contained, L2, "without capabilities"},
		{"capabilities, says one", func(all []Confinement) []Confinement { all[0].Capabilities = []string{"21"}; return all }, Leak, L2, "capabilities: 21"},
		{"capabilities, says the other", func(all []Confinement) []Confinement { all[1].Capabilities = []string{"21"}; return all }, Leak, L2, "says two"},
		{"root", func(all []Confinement) []Confinement { all[1].Root = true; return all }, Leak, L2, "root"},
		{"privileges to gain", func(all []Confinement) []Confinement { all[1].Escalates = true; return all }, Leak, L2, "no_new_privs"},
		{"no filter", func(all []Confinement) []Confinement { all[1].Unfiltered = true; return all }, Leak, L2, "seccomp"},
		{"a root that can be written", func(all []Confinement) []Confinement { all[0].Writable = true; return all }, Leak, L2, "write"},
		{"the engine's socket", func(all []Confinement) []Confinement { all[1].Sockets = []string{"/run/docker.sock"}; return all }, Leak, L2, "docker.sock"},
		{"the host's network", func(all []Confinement) []Confinement {
			all[0].Shared = []string{"the host's network namespace"}
			return all
		}, Leak, L2, "network"},
		{"another user", func(all []Confinement) []Confinement { all[1].User = "1"; return all }, Inconclusive, L1, "C4"},
		{"one witness", func(all []Confinement) []Confinement { return all[:1] }, Inconclusive, L1, "C4"},
		{"no witness", func([]Confinement) []Confinement { return nil }, Inconclusive, L0, "C4"},
		{"a witness that read nothing", func([]Confinement) []Confinement { return []Confinement{{Witness: "one"}, {Witness: "two"}} }, Contained, L0, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			all := []Confinement{sound, sound}
			all[1].Witness = "two"
			f := testified{probe: Probe{ID: sidecarID}, witnesses: c.edit(all)}.judge()
			if f.Verdict != c.want || f.Assurance != c.level || !strings.Contains(f.Reason, c.says) {
				t.Errorf("want %s %s naming %q: %s", c.want, c.level, c.says, f)
			}
		})
	}
}

func TestSidecarCannotBeAsked(t *testing.T) {
	s := site(t, TSI)
	s.Sidecar = func(context.Context) ([]Confinement, error) { return nil, errors.New("no such container") }
	rep, err := Run(t.Context(), s, quick, sidecarID)
	if err != nil {
		t.Fatal(err)
	}
	if f := finding(t, rep, sidecarID); f.Verdict != Error {
		t.Errorf("%s", f)
	}
}
