package gobuild

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"time"
)

const (
	module   = "bottle.internal"
	lockPoll = 20 * time.Millisecond
)

// knownSums are the sums this process has made: what it was built from does not change while it runs, and one launch asks for three
// binaries.
var knownSums sync.Map // root to func() (string, error)

// sumOnce is sourceSum, once per process and root.
func sumOnce(root string) (string, error) {
	f, _ := knownSums.LoadOrStore(root, sync.OnceValues(func() (string, error) { return sourceSum(root) }))
	return f.(func() (string, error))()
}

// sourceSum hashes everything a build reads below root: Go and assembly files but tests, go.mod and go.sum, and files that could be
// embedded beside them. Directories that hold no package of the binaries are left out, so that editing a suite or a document
// does not rebuild them.
func sourceSum(root string) (string, error) {
	h := sha256.New()
	fmt.Fprintln(h, runtime.Version())
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		if d.IsDir() {
			return skipDir(rel)
		}
		if !d.Type().IsRegular() || !builds(rel) {
			return nil
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		fmt.Fprintf(h, "%s %d\n", filepath.ToSlash(rel), len(b))
		h.Write(b)
		return nil
	})
	return hex.EncodeToString(h.Sum(nil))[:24], err
}

func skipDir(rel string) error {
	base := filepath.Base(rel)
	if rel != "." && (strings.HasPrefix(base, ".") || base == "testdata" || rel == "suites" || rel == "docs") {
		return fs.SkipDir
	}
	return nil
}

func builds(rel string) bool {
	if rel == "go.mod" || rel == "go.sum" {
		return true
	}
	return strings.HasSuffix(rel, ".s") || strings.HasSuffix(rel, ".go") && !strings.HasSuffix(rel, "_test.go") && filepath.Dir(rel) != "."
}
