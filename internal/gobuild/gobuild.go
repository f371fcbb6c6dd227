// Package gobuild builds a command of this module when it is needed and keeps it in the user's cache.
//
// The kit runs binaries inside guests and containers whose platform is not the host's, and it is imported by other
// repositories: nothing can be installed beforehand. What is built is keyed by the content of the module's sources, so a
// warm call finds the file, and a changed source can never meet a stale binary. The sources are read once per process.
//
// A released bottle-probe has no sources to build from. It carries the binaries, and what is asked of the sources besides; it never
// builds, and it unpacks under the sum of the content.
package gobuild

import (
	"bytes"
	"cmp"
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

// here is t with the running platform where none is named.
func (t Target) here() Target {
	return Target{t.Command, cmp.Or(t.GOOS, runtime.GOOS), cmp.Or(t.GOARCH, runtime.GOARCH)}
}

// Binary returns the path of target's static binary, building it if the cache has none made from the present sources. It
// needs the go command only when it has to build. Calls from several goroutines and processes build once. A released binary unpacks what it
// carries instead; the error is ErrNotCarried if that is not among it.
func Binary(ctx context.Context, t Target) (string, error) {
	p, err := onBoard()
	if err != nil {
		return "", err
	}
	if p == nil {
		return built(ctx, t.here())
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("gobuild: unpacking %s: %w", t.Command, err)
	}
	return p.binary(cache, t.here())
}

// Content is what is in the file that Binary returns. A released binary needs no file for it, nor a place to write one.
func Content(ctx context.Context, t Target) ([]byte, error) {
	p, err := onBoard()
	if err != nil {
		return nil, err
	}
	if p != nil {
		return p.content(t.here())
	}
	path, err := built(ctx, t.here())
	if err != nil {
		return nil, err
	}
	return os.ReadFile(path)
}

// built is the path of t, built from the present sources.
func built(ctx context.Context, t Target) (string, error) {
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
	out, err := BuildCommand(ctx, root, t, tmp).CombinedOutput()
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

// BuildCommand is the go command that builds t, whose platform is named, from the sources at root into the file bin. Flags are go build's, in
// addition. The same sources make the same bytes, wherever they lie.
func BuildCommand(ctx context.Context, root string, t Target, bin string, flags ...string) *exec.Cmd {
	args := append([]string{"build", "-trimpath", "-buildvcs=false", "-ldflags=" + ldflags(t)}, flags...)
	cmd := exec.CommandContext(ctx, "go", append(args, "-o", bin, "./cmd/"+t.Command)...)
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS="+t.GOOS, "GOARCH="+t.GOARCH, "GOWORK=off", "GOFLAGS=-mod=readonly")
	return cmd
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
// -trimpath, where the go command finds the module from the working directory. A released binary has none: ErrNotCarried.
func ModuleDir(ctx context.Context) (string, error) {
	if carried != nil {
		return "", fmt.Errorf("the kit's sources are %w: that needs a checkout of them", ErrNotCarried)
	}
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
