package gobuild

import (
	"os"
	"path/filepath"
	"testing"
)

// tree writes files below a fresh directory and returns its sum.
func tree(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for name, body := range files {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(body), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	sum, err := sourceSum(root)
	if err != nil {
		t.Fatal(err)
	}
	return sum
}

func TestSumFollowsWhatABuildReads(t *testing.T) {
	base := map[string]string{"go.mod": "module m", "a/a.go": "package a", "magefile.go": "x", "a/a_test.go": "t", "suites/s.go": "s"}
	with := func(name, body string) map[string]string {
		m := map[string]string{}
		for k, v := range base {
			m[k] = v
		}
		m[name] = body
		return m
	}
	want := tree(t, base)
	for _, name := range []string{"a/a.go", "a/a.s", "go.mod", "go.sum", "b/b.go"} {
		if tree(t, with(name, "changed")) == want {
			t.Errorf("changing %s keeps the sum: a stale binary would be used", name)
		}
	}
	for _, name := range []string{"a/a_test.go", "README.md", "suites/s.go", "magefile.go", ".git/x.go", "a/testdata/x.go"} {
		if tree(t, with(name, "changed")) != want {
			t.Errorf("changing %s changes the sum: a needless rebuild", name)
		}
	}
}
