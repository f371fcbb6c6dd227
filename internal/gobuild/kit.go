package gobuild

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// kitDirs hold what decides how a probe turns out: the judge with the catalogue, the agent, and what both say to listeners.
var kitDirs = []string{"probes", "internal/echo", "cmd/bottle-agent"}

// Kit is the digest of this module's sources of probes and agent: results of one kit say nothing of another. It needs the sources, or a
// release, which knows what it was.
func Kit(ctx context.Context) (string, error) {
	p, err := onBoard()
	if err != nil {
		return "", err
	}
	if p != nil {
		return p.Kit, nil
	}
	root, err := ModuleDir(ctx)
	if err != nil {
		return "", err
	}
	sum, err := sumOnce(root, kitDirs...)
	if err != nil {
		return "", fmt.Errorf("gobuild: reading the sources of the kit below %q: %w", root, err)
	}
	return sum, nil
}

// Kills is where records of kills are read: KillsDir, or, in a release, what it carries and nothing else. It may be empty.
func Kills() (fs.FS, error) {
	p, err := onBoard()
	if err != nil {
		return nil, err
	}
	if p != nil {
		return fs.Sub(p.files, killsName)
	}
	dir, err := KillsDir()
	if err != nil {
		return nil, err
	}
	return os.DirFS(dir), nil
}

// KillsDir is where records of kills are written, in the user's cache.
func KillsDir() (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("gobuild: %w", err)
	}
	return filepath.Join(cache, "bottle", "kills"), nil
}
