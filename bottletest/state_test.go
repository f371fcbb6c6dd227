package bottletest

import (
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"bottle.internal/internal/owner"
)

func TestRecordRoundTrip(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	t.Setenv("HOME", t.TempDir())
	r := record{Slug: newSlug("test"), Owner: owner.Self(), Started: time.Now().UTC().Truncate(time.Second), Engine: Simulator, Path: "/x", Env: []string{"A=1"}}
	if err := r.write(); err != nil {
		t.Fatal(err)
	}
	got, err := records()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]record{r}, got, cmpopts.EquateComparable(netip.Addr{})); diff != "" {
		t.Error(diff)
	}
	for range 2 { // removing what is gone is no error
		if err := r.remove(); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := records(); err != nil || len(got) != 0 {
		t.Errorf("%v, %v", got, err)
	}
}

func TestUnreadableRecordIsAnError(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	t.Setenv("HOME", t.TempDir())
	dir, err := stateDir()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "x.json"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := records(); err == nil {
		t.Error("a record that cannot be read counts as none: what it stands for would never be swept")
	}
}
