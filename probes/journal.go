package probes

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"bottle.internal/internal/echo"
	"bottle.internal/internal/owner"
)

// What is planted on the host is called like this, so that who finds it can search for it; a sweep removes nothing else.
const (
	decoyName = ".bottle-canary-"
	dirName   = "bottle-"
)

// journalDir has a file for everything that is planted on this host: whose it is, and where. A run that is killed takes nothing away.
func journalDir() (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(cache, "bottle", "planted")
	return dir, os.MkdirAll(dir, 0o700)
}

// NotePlanted writes down that this process puts something of its own at path, for SweepPlanted, and returns what takes the note back. The
// last element of path, which is absolute, begins with "bottle-" or ".bottle-canary-": nothing else is swept. Where nothing can be written
// down it does nothing. It is safe for concurrent use.
func NotePlanted(path string) (forget func()) {
	dir, err := journalDir()
	if err != nil {
		return func() {}
	}
	entry := filepath.Join(dir, string(echo.NewNonce()))
	_ = os.WriteFile(entry, []byte(string(owner.Self())+"\n"+path), 0o600)
	return func() { _ = os.Remove(entry) }
}

// SweepPlanted removes what killed runs of this user planted on the host, as NotePlanted has it, and nothing that a living process owns. It
// returns what it removed, such as "decoy /tmp/.bottle-canary-…", and goes on after a failure.
func SweepPlanted() (removed []string, err error) {
	dir, err := journalDir()
	if err != nil {
		return nil, fmt.Errorf("probes: %w", err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("probes: %w", err)
	}
	var errs []error
	for _, e := range entries {
		what, err := sweepEntry(filepath.Join(dir, e.Name()))
		if what != "" {
			removed = append(removed, what)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("probes: %w", err))
		}
	}
	return removed, errors.Join(errs...)
}

// sweepEntry removes what a dead process planted, and the note of it. Without what was planted it says "".
func sweepEntry(entry string) (what string, err error) {
	text, err := os.ReadFile(entry)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil // its owner took it back meanwhile
	}
	if err != nil {
		return "", err
	}
	who, path, _ := strings.Cut(string(text), "\n")
	if owner.Alive(owner.ID(who)) {
		return "", nil
	}
	if what = named(path); what == "" {
		return "", fmt.Errorf("%q does not name what a run plants: remove it by hand", entry)
	}
	if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
		return "", os.Remove(entry)
	}
	if err := os.RemoveAll(path); err != nil {
		return "", err
	}
	return what, os.Remove(entry)
}

// named is what stands at path by its name, "" if nothing of ours does.
func named(path string) string {
	switch name := filepath.Base(path); {
	case !filepath.IsAbs(path) || path != filepath.Clean(path):
		return ""
	case strings.HasPrefix(name, decoyName):
		return "decoy " + path
	case strings.HasPrefix(name, dirName):
		return "directory " + path
	}
	return ""
}
