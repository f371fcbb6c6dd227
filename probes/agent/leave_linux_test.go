package agent

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// What is left is there afterwards, and nothing that was there is touched.
func TestLeave(t *testing.T) {
	dir := t.TempDir()
	if r := looked(t, Leave, filepath.Join(dir, "left")); r.Observation != Writable {
		t.Errorf("%+v", r)
	} else if b, err := os.ReadFile(filepath.Join(dir, "left")); err != nil || strings.TrimSpace(string(b)) != string(r.Nonce) {
		t.Errorf("%q, %v", b, err)
	}
	mine := write(t, filepath.Join(dir, "mine"), "mine")
	if r := looked(t, Leave, mine); r.Observation == Writable {
		t.Errorf("over a file of another's: %+v", r)
	}
	if b, err := os.ReadFile(mine); err != nil || string(b) != "mine" {
		t.Errorf("%q, %v", b, err)
	}
	if r := looked(t, Leave, filepath.Join(dir, "none", "left")); r.Observation != Absent {
		t.Errorf("%+v", r)
	}
}
