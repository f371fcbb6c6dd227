package smolvm

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// What old releases do side by side only at their peril takes turns: within this process by a channel, between processes by flock on
// a file of the user's cache. A process that dies gives its lock back.

// turns has one channel for each lock that this process knows.
var turns = struct {
	sync.Mutex
	of map[string]chan struct{}
}{of: map[string]chan struct{}{}}

// takeTurn waits for the lock named after what and key, and returns what gives it back. Its error wraps ctx's.
func takeTurn(ctx context.Context, what, key string) (done func(), err error) {
	path, err := lockPath(what, key)
	if err != nil {
		return nil, err
	}
	turns.Lock()
	turn := turns.of[path]
	if turn == nil {
		turn = make(chan struct{}, 1)
		turns.of[path] = turn
	}
	turns.Unlock()
	select {
	case turn <- struct{}{}:
	case <-ctx.Done():
		return nil, fmt.Errorf("waiting for another %s: %w", what, over(ctx))
	}
	f, err := flock(ctx, path, what)
	if err != nil {
		<-turn
		return nil, err
	}
	return func() {
		_ = os.Remove(path) // while it is locked: see lockNow
		_ = f.Close()       // gives the lock back
		<-turn
	}, nil
}

// lockPath is a file that every process of this user finds, whatever HOME it gives to smolvm.
func lockPath(what, key string) (string, error) {
	base, err := os.UserCacheDir()
	if err != nil {
		base = filepath.Join(os.TempDir(), fmt.Sprintf("smolvm-client-%d", os.Getuid()))
	}
	dir := filepath.Join(base, "smolvm-client", "locks")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", fmt.Errorf("making room for the lock of a %s: %w", what, err)
	}
	sum := sha256.Sum256([]byte(key))
	return filepath.Join(dir, fmt.Sprintf("%s-%x", what, sum[:8])), nil
}

// flock polls, since a blocking flock cannot be given up.
func flock(ctx context.Context, path, what string) (*os.File, error) {
	for pause := time.Millisecond; ; pause = min(2*pause, 50*time.Millisecond) {
		f, err := lockNow(path)
		if f != nil || err != nil {
			return f, err
		}
		if !pauseFor(ctx, jitter(pause)) {
			return nil, fmt.Errorf("waiting for another %s in another process: %w", what, over(ctx))
		}
	}
}

// lockNow is the locked file at path, nil if somebody else has it. Who gives a lock back removes its file before, so that none are left; a
// lock on a file that is gone is none.
func lockNow(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, err
	}
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if err == nil {
		mine, mineErr := f.Stat()
		there, thereErr := os.Lstat(path)
		if mineErr == nil && thereErr == nil && os.SameFile(mine, there) {
			return f, nil
		}
	}
	_ = f.Close()
	if err == nil || errors.Is(err, syscall.EWOULDBLOCK) || errors.Is(err, syscall.EINTR) {
		return nil, nil
	}
	return nil, fmt.Errorf("locking %q: %w", path, err)
}

// jitter is between d/2 and 3d/2, so that those who met once do not meet again.
func jitter(d time.Duration) time.Duration { return d/2 + rand.N(d+1) }

// pauseFor reports whether d passed before ctx ended.
func pauseFor(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// stateKey tells one smolvm's machines from another's: by the variables that say where they are.
func (c *Client) stateKey(also ...string) (string, error) {
	env, err := c.environment(nil)
	if err != nil {
		return "", err
	}
	return strings.Join(append(variables(env, "HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME", "SMOLVM_DATA_DIR"), also...), "\x00"), nil
}

// rootfsKey tells the agent rootfs, which machines of several homes may share.
func (c *Client) rootfsKey() (string, error) {
	env, err := c.environment(nil)
	if err != nil {
		return "", err
	}
	if shared := variables(env, "SMOLVM_AGENT_ROOTFS"); len(shared) > 0 {
		return shared[0], nil
	}
	return strings.Join(variables(env, "HOME", "XDG_DATA_HOME"), "\x00"), nil
}

// variables are the entries of env with one of keys.
func variables(env []string, keys ...string) []string {
	var out []string
	for _, kv := range env {
		if key, _, _ := strings.Cut(kv, "="); slices.Contains(keys, key) {
			out = append(out, kv)
		}
	}
	slices.Sort(out)
	return out
}
