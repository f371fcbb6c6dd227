package probecli

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the documentation anew")

// The documentation says what the commands say.
func TestDocs(t *testing.T) {
	for name, make := range map[string]func() (string, error){"cli.md": markdown, "bottle-probe.1": manPage} {
		want, err := make()
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join("..", "..", "docs", name)
		if *update {
			if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		got, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, string(got)); diff != "" {
			t.Errorf("%s is not what the commands say; write it anew with -update (-want +got):\n%s", path, diff)
		}
	}
}

// Every command is in both, with its flags.
func TestDocsAreWhole(t *testing.T) {
	page, err := markdown()
	if err != nil {
		t.Fatal(err)
	}
	man, err := manPage()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"run", "check", "check container", "check here", "dial", "plan", "report", "diff", "certify", "verify", "doctor", "completion bash"} {
		if !strings.Contains(page, "## bottle-probe "+name+"\n") {
			t.Errorf("cli.md lacks %s", name)
		}
		if !strings.Contains(man, ".SH BOTTLE-PROBE "+strings.ToUpper(name)+"\n") {
			t.Errorf("the man page lacks %s", name)
		}
	}
	if !strings.Contains(page, "--baseline") || strings.Contains(page, "Auto generated") {
		t.Error("cli.md lacks a flag, or has a date")
	}
}
