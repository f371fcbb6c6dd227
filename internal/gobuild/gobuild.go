// Package gobuild builds a command of this module when it is needed and keeps it in the user's cache.
//
// The kit runs binaries inside guests and containers whose platform is not the host's, and it is imported by other
// repositories: nothing can be installed beforehand. What is built is keyed by the content of the module's sources, so a
// warm call finds the file, and a changed source can never meet a stale binary. The sources are read once per process.
package gobuild

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/gofrs/flock"
)

// A Target is one command for one platform.
type Target struct {
	Command string // directory below cmd/, such as "bottle-agent"
	GOOS    string // "" is the running one
	GOARCH  string // "" is the running one
}

// Binary returns the path of target's static binary, building it if the cache has none made from the present sources. It
// needs the go command only when it has to build. Calls from several goroutines and processes build once.
func Binary(ctx context.Context, t Target) (string, error) {
	if t.GOOS == "" {
		t.GOOS = runtime.GOOS
	}
	if t.GOARCH == "" {
		t.GOARCH = runtime.GOARCH
	}
	root, err := ModuleDir(ctx)
	if err != nil {
		return "", err
	}
	sum, err := sumOnce(root)
	if err != nil {
		return "", fmt.Errorf("gobuild: reading the sources below %q: %w", root, err)
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("gobuild: %w", err)
	}
	dir := filepath.Join(cache, "bottle", "bin", sum, t.GOOS+"-"+t.GOARCH)
	bin := filepath.Join(dir, t.Command)
	if _, err := os.Stat(bin); err == nil {
		return bin, nil
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", fmt.Errorf("gobuild: %w", err)
	}
	lock := flock.New(bin + ".lock")
	if _, err := lock.TryLockContext(ctx, lockPoll); err != nil {
		return "", fmt.Errorf("gobuild: waiting for another build of %q: %w", t.Command, err)
	}
	defer func() { _ = lock.Unlock() }()
	if _, err := os.Stat(bin); err == nil {
		return bin, nil
	}
	return bin, build(ctx, root, t, bin)
}

// build writes bin atomically: whoever finds the file finds it whole.
func build(ctx context.Context, root string, t Target, bin string) error {
	tmp := bin + ".new"
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false", "-ldflags="+ldflags(t), "-o", tmp, "./cmd/"+t.Command)
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS="+t.GOOS, "GOARCH="+t.GOARCH, "GOWORK=off", "GOFLAGS=-mod=readonly")
	out, err := cmd.CombinedOutput()
	if err != nil {
		if errors.Is(err, exec.ErrNotFound) {
			return fmt.Errorf("gobuild: building %q needs the go command on PATH: %w", t.Command, err)
		}
		return fmt.Errorf("gobuild: go build ./cmd/%s for %s/%s: %w\n%s", t.Command, t.GOOS, t.GOARCH, err, bytes.TrimSpace(out))
	}
	if err := os.Rename(tmp, bin); err != nil {
		return fmt.Errorf("gobuild: %w", err)
	}
	return nil
}

// ldflags are the linker's. The agent has an entry point of its own, see probes/agent/waiter.
func ldflags(t Target) string {
	flags := "-s -w"
	if t.Command == "bottle-agent" && t.GOOS == "linux" && (t.GOARCH == "amd64" || t.GOARCH == "arm64") {
		flags += " -E=bottle.internal/probes/agent/waiter.start"
	}
	return flags
}

// ModuleDir is the directory of this module's sources: where the compiler saw this file, or, in a binary built with
// -trimpath, where the go command finds the module from the working directory.
func ModuleDir(ctx context.Context) (string, error) {
	if _, file, _, ok := runtime.Caller(0); ok && filepath.IsAbs(file) {
		root := filepath.Dir(filepath.Dir(filepath.Dir(file)))
		if _, err := os.Stat(filepath.Join(root, "go.mod")); err == nil {
			return root, nil
		}
	}
	out, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", module).Output()
	if dir := strings.TrimSpace(string(out)); err == nil && dir != "" {
		return dir, nil
	}
	return "", fmt.Errorf("gobuild: cannot find the sources of %s: run inside a module that requires it, with the go command on PATH", module)
}
