package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestUsage(t *testing.T) {
	for _, args := range [][]string{nil, {"everything"}, {"unit", "./smolvm"}, {"rename"}, {"integration", "smoke", "teeth"}} {
		var out, errOut strings.Builder
		if code := run(t.Context(), args, &out, &errOut); code != exitUsage || !strings.Contains(errOut.String(), "usage:") {
			t.Errorf("gate %q: exit %d, %q; want %d and the usage", args, code, errOut.String(), exitUsage)
		}
	}
}

func TestAnUnknownSuiteFailsAndListsTheKnown(t *testing.T) {
	var out strings.Builder
	code := run(t.Context(), []string{"integration", "smok"}, &out, &out)
	if code != exitFailed || !strings.Contains(out.String(), "loopback-refused") || !strings.HasSuffix(out.String(), "0 passed, 1 failed, 0 skipped\n") {
		t.Errorf("exit %d:\n%s", code, &out)
	}
}

// goTest is what unit and consumer stand on: a failing and a skipping test must come out of a real "go test".
func TestGoTest(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"go.mod": "module x.example\n",
		"x_test.go": "package x\nimport \"testing\"\nfunc TestA(t *testing.T) {}\n" +
			"func TestB(t *testing.T) { t.Skip(\"no engine\") }\nfunc TestC(t *testing.T) { t.Fatal(\"a hole\") }\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var out strings.Builder
	have, err := goTest(t.Context(), &out, dir, []string{"GOFLAGS=", "GOWORK=off"}, "./...")
	if have.String() != "1 passed, 1 failed, 1 skipped" || err == nil || !strings.Contains(out.String(), "a hole") {
		t.Errorf("%s, %v:\n%s", &have, err, &out)
	}
}
