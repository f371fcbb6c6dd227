package probecli

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"bottle.internal/bottletest"
	"bottle.internal/smolvm/smolvmtest"
)

func command(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	code = Run(t.Context(), args, &out, &errs)
	return code, out.String(), errs.String()
}

func TestPrepareSaysWhatIsWrong(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	t.Setenv("BOTTLE_ENGINE", "")
	fake := smolvmtest.New(t, smolvmtest.Version("1.9.3"))
	for _, tc := range []struct {
		args []string
		code int
		says string
	}{
		{[]string{"prepare"}, ExitUsage, "accepts 1 arg"},
		{[]string{"prepare", ""}, ExitUsage, "no image"},
		{[]string{"prepare", "No Such"}, ExitUsage, "reference"},
		{[]string{"prepare", "./nowhere.tar"}, ExitUsage, "nowhere.tar"},
		{[]string{"run", "--image", "./nowhere.tar"}, ExitUsage, "nowhere.tar"},
		{[]string{"prepare", "localhost:1/a:b", "--offline"}, ExitHarness, "offline"},
	} {
		code, out, said := command(t, append(tc.args, "--smolvm", fake.Path)...)
		if code != tc.code || out != "" || !strings.Contains(said, tc.says) {
			t.Errorf("%q: exit %d, %q, %q; want %d and %q", tc.args, code, out, said, tc.code, tc.says)
		}
	}
}

func TestPrepareOutput(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	t.Setenv("BOTTLE_ENGINE", "")
	fake := smolvmtest.New(t, smolvmtest.Version("1.9.3"))
	pack := filepath.Join(t.TempDir(), "x.smolmachine")
	if err := os.WriteFile(pack, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	code, out, said := command(t, "prepare", pack, "--smolvm", fake.Path)
	if code != ExitClean || !strings.HasPrefix(out, pack+"\n") || !strings.Contains(out, "sha256:") || said != "" {
		t.Errorf("exit %d, %q, %q", code, out, said)
	}
	for _, flag := range []string{"--json", "--output=json"} {
		code, out, _ = command(t, "prepare", pack, flag, "--smolvm", fake.Path)
		var p bottletest.Prepared
		if err := json.Unmarshal([]byte(out), &p); code != ExitClean || err != nil || p.Boot != pack || p.Road != bottletest.RoadPack {
			t.Errorf("%s: exit %d, %s, %v", flag, code, out, err)
		}
	}
}
