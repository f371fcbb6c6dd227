package probes

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"bottle.internal/internal/echo"
)

func entries(t *testing.T) []string {
	t.Helper()
	dir, err := journalDir()
	if err != nil {
		t.Fatal(err)
	}
	all, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestSweepPlanted(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	t.Setenv("HOME", t.TempDir())
	dir := t.TempDir()
	alive, err := newDecoy(dir)
	if err != nil {
		t.Fatal(err)
	}
	if removed, err := SweepPlanted(); err != nil || len(removed) != 0 || len(entries(t)) != 1 {
		t.Fatalf("what is alive: removed %q, %v", removed, err)
	}
	other := filepath.Join(dir, "theirs")
	write(t, other)
	socket := filepath.Join(dir, dirName+"1")
	if err := os.Mkdir(socket, 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(socket, "canary.sock"))
	decoyPath := filepath.Join(dir, decoyName+string(echo.NewNonce()))
	write(t, decoyPath)
	for _, path := range []string{decoyPath, socket, other, filepath.Join(dir, decoyName+"gone"), "bottle-relative", dir + "/../" + dirName} {
		left(t, path)
	}
	removed, err := SweepPlanted()
	slices.Sort(removed)
	if want := []string{"decoy " + decoyPath, "directory " + socket}; !slices.Equal(removed, want) || err == nil {
		t.Errorf("removed %q, %v, want %q and an error of the rest", removed, err, want)
	}
	for path, want := range map[string]bool{alive.path: true, other: true, socket: false, decoyPath: false} {
		if _, err := os.Lstat(path); (err == nil) != want {
			t.Errorf("%s is there: %t", path, err == nil)
		}
	}
	if have := len(entries(t)); have != 4 { // the living one's, and three that name nothing of ours
		t.Errorf("%d notes are left", have)
	}
	if err := alive.Close(); err != nil || len(entries(t)) != 3 {
		t.Errorf("%v, %d notes are left", err, len(entries(t)))
	}
}

// A run takes its notes back.
func TestRunLeavesNoNotes(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	r := newRig(Site{}, quick)
	if _, _, err := r.socketIn(t.TempDir()); err != nil {
		t.Fatal(err)
	}
	if _, none := r.plant(t.TempDir()); none.why != "" {
		t.Fatal(none.why)
	}
	if len(entries(t)) != 2 {
		t.Errorf("%d notes, want one of the socket and one of the decoy", len(entries(t)))
	}
	if err := r.close(); err != nil || len(entries(t)) != 0 {
		t.Errorf("%v, %d notes are left", err, len(entries(t)))
	}
}

// left notes path as a dead process had.
func left(t *testing.T, path string) {
	t.Helper()
	dir, err := journalDir()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, string(echo.NewNonce())), []byte("boot/1/1\n"+path), 0o600); err != nil {
		t.Fatal(err)
	}
}

func write(t *testing.T, path string) {
	t.Helper()
	if err := os.WriteFile(path, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
}
