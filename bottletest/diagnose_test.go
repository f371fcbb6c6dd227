package bottletest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"bottle.internal/smolvm"
	"bottle.internal/smolvm/smolvmtest"
)

// What a guest that did not come up said is on the host only, and no longer when the launch is undone.
func TestEvidenceOfTheBoot(t *testing.T) {
	dir := t.TempDir()
	long := strings.Repeat("x", maxBootLog)
	if err := os.WriteFile(filepath.Join(dir, "agent-console.log"), []byte("begins"+long), 0o600); err != nil {
		t.Fatal(err)
	}
	fake := smolvmtest.New(t, smolvmtest.Version("1.9.3"),
		smolvmtest.Reply{Argv: []string{"machine", "data-dir"}, Stdout: dir + "\n"},
		smolvmtest.Reply{Argv: []string{"machine", "exec"}, Exit: 1, Stderr: "Error: machine 'm' is not running\n", Times: smolvmtest.AnyTimes})
	b := &Bottle{engine: &guestEngine{client: &smolvm.Client{Path: fake.Path}}, plan: Plan{Machine: "m"}, journal: new(journal)}
	files := b.evidence(t.Context())
	if got := files["agent-console.log"]; string(got) != long {
		t.Errorf("%d bytes of the console", len(got))
	}
	if got, there := files["agent-startup-error.log"]; there {
		t.Errorf("a file that is not there became %q", got)
	}
}
