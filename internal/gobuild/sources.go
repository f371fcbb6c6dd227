package gobuild

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
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
var knownSums sync.Map // root and directories to func() (string, error)

// sumOnce is sourceSum, once per process, root and directories.
func sumOnce(root string, dirs ...string) (string, error) {
	f, _ := knownSums.LoadOrStore(fmt.Sprint(root, dirs), sync.OnceValues(func() (string, error) { return sourceSum(root, dirs...) }))
	return f.(func() (string, error))()
}

// sourceSum hashes everything a build reads below root: Go and assembly files but tests, go.mod and go.sum, and files that could be
// embedded beside them. Directories that hold no package of the binaries are left out, so that editing a suite or a document
// does not rebuild them.
//
// Named directories are all that is looked at, with go.mod and go.sum.
func sourceSum(root string, dirs ...string) (string, error) {
	h := sha256.New()
	fmt.Fprintln(h, runtime.Version())
	walks := []string{root}
	if len(dirs) > 0 {
		walks = []string{filepath.Join(root, "go.mod"), filepath.Join(root, "go.sum")}
	}
	for _, dir := range dirs {
		walks = append(walks, filepath.Join(root, filepath.FromSlash(dir)))
	}
	for _, walk := range walks {
		if err := sumBelow(h, root, walk); err != nil {
			return "", err
		}
	}
	return hex.EncodeToString(h.Sum(nil))[:24], nil
}

// sumBelow hashes what a build reads below walk.
func sumBelow(h io.Writer, root, walk string) error {
	return filepath.WalkDir(walk, func(path string, d fs.DirEntry, err error) error {
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
		_, _ = fmt.Fprintf(h, "%s %d\n", filepath.ToSlash(rel), len(b))
		_, err = h.Write(b)
		return err
	})
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
