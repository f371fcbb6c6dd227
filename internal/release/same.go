package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// same compares what was built twice. What is in one and not in the other differs.
func same(first, second []product) error {
	var errs []error
	for _, p := range first {
		i := slices.IndexFunc(second, func(q product) bool { return q.Target == p.Target })
		if i < 0 {
			errs = append(errs, fmt.Errorf("%s was built once", p))
			continue
		}
		a, err := os.ReadFile(p.path)
		b, err2 := os.ReadFile(second[i].path)
		if err := errors.Join(err, err2); err != nil {
			return err
		}
		if !bytes.Equal(a, b) {
			errs = append(errs, fmt.Errorf("%s was built twice from the same sources, and differs from byte %d on", p, differs(a, b)))
		}
	}
	if len(first) != len(second) {
		errs = append(errs, fmt.Errorf("%d binaries the first time, %d the second", len(first), len(second)))
	}
	return errors.Join(errs...)
}

// differs is where a and b begin to differ.
func differs(a, b []byte) int {
	n := min(len(a), len(b))
	for i := range n {
		if a[i] != b[i] {
			return i
		}
	}
	return n
}

// copySources copies a module's tree into the fresh directory to, without what is no source: what git ignores here, and git's own.
func copySources(to, from string) error {
	return filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		switch {
		case d.IsDir() && rel != "." && (strings.HasPrefix(d.Name(), ".") || slices.Contains([]string{"bin", "artifacts", "dist"}, rel)):
			return fs.SkipDir
		case d.IsDir():
			return os.MkdirAll(filepath.Join(to, rel), 0o700)
		case !d.Type().IsRegular():
			return nil
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(to, rel), b, 0o600)
	})
}
