package bottletest

import (
	"slices"
	"testing"

	"bottle.internal/internal/gobuild"
	"bottle.internal/probes"
	"bottle.internal/probes/mutants"
)

func TestKillsAreOfThisKit(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	t.Setenv("HOME", t.TempDir())
	dir, err := gobuild.KillsDir()
	if err != nil {
		t.Fatal(err)
	}
	kit, err := gobuild.Kit(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	b := new(Bottle)
	if o := b.withKills(t.Context(), probes.Options{}); len(o.Kills) > 0 {
		t.Errorf("%v without a record", o.Kills)
	}
	for _, r := range []mutants.Record{
		{Kit: kit, Kills: map[string][]string{"x": {"this kit's"}}}, {Kit: "other", Kills: map[string][]string{"x": {"another's"}}},
	} {
		if err := r.Write(dir); err != nil {
			t.Fatal(err)
		}
	}
	if o := b.withKills(t.Context(), probes.Options{}); o.Kit != kit || !slices.Equal(o.Kills["x"], []string{"this kit's"}) {
		t.Errorf("kit %q, kills %v", o.Kit, o.Kills)
	}
	told := probes.Options{Kills: map[string][]string{"x": {"told"}}, Kit: "k"}
	if o := b.withKills(t.Context(), told); o.Kit != "k" || !slices.Equal(o.Kills["x"], []string{"told"}) {
		t.Errorf("kit %q, kills %v: what the caller says comes first", o.Kit, o.Kills)
	}
}
