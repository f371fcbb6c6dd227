// Package golden compares what a test got with a file in testdata. It registers the flag -update, which rewrites those files, so it is for
// test files alone.
package golden

import (
	"flag"
	"os"
	"path/filepath"
	"strings"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "rewrite the golden files in testdata")

// Updating reports whether -update was given.
func Updating() bool { return *update }

// A TB is what a test is asked for; *testing.T is one.
type TB interface {
	Helper()
	Errorf(format string, args ...any)
	Fatal(args ...any)
}

// File compares got with testdata/name, whose parts are separated by slashes, line by line, or writes it there with -update.
func File[T string | []byte](t TB, name string, got T) {
	t.Helper()
	compare(t, filepath.Join("testdata", filepath.FromSlash(name)), string(got), *update)
}

func compare(t TB, path, got string, write bool) {
	t.Helper()
	if write {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil { //nolint:gosec // a source directory
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil { //nolint:gosec // a source file
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path) //nolint:gosec // a test's own
	if err != nil {
		t.Fatal(err)
	}
	if string(want) != got {
		t.Errorf("%s (-want +got; rewritten by -update):\n%s", path, cmp.Diff(strings.Split(string(want), "\n"), strings.Split(got, "\n")))
	}
}
