package target

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"bottle.internal/probes"
)

// A host behind ssh gets the agent through a shell, and keeps nothing of it. It is this host: there is no wall.
func TestBehindSSH(t *testing.T) {
	prefix := overSSH(t)
	s := entered(t, prefix...)
	if f := verdict(t, s, canaryID); !strings.Contains(s.Way(), "through a shell") || s.way.weak || f.Verdict != probes.Leak {
		t.Errorf("%s: %s", s.Way(), f)
	}
	if err := s.Close(t.Context()); err != nil {
		t.Error(err)
	}
	for _, dir := range append(directories, os.Getenv("HOME")) {
		if left, err := filepath.Glob(filepath.Join(dir, s.mark+"*")); err != nil || len(left) > 0 {
			t.Errorf("left behind: %q, %v", left, err)
		}
	}
}

// A key that opens nothing is told in ssh's own words, soon, and not as a sandbox that holds.
func TestBehindSSHDenied(t *testing.T) {
	prefix := overSSH(t)
	other := filepath.Join(t.TempDir(), "other")
	if out, err := exec.CommandContext(t.Context(), "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", other).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	prefix[slices.Index(prefix, "-i")+1] = other
	s, err := Behind(t.Context(), prefix, options(t))
	if s != nil || !errors.Is(err, ErrUnreachable) || !strings.Contains(err.Error(), "Permission denied") {
		t.Errorf("%v, %v", s, err)
	}
}

// A sandbox whose clocks run a day ahead is judged as any other, and its times are durations.
func TestBehindAnotherClock(t *testing.T) {
	ahead := []string{"unshare", "--time", "--monotonic", "86400", "--boottime", "86400", "--fork"}
	if out, err := exec.CommandContext(t.Context(), ahead[0], append(ahead[1:], "true")...).CombinedOutput(); err != nil {
		t.Skipf("no time namespace: %v: %s", err, out)
	}
	for _, c := range []struct {
		prefix []string
		want   probes.Verdict
	}{{ahead, probes.Leak}, {append([]string{"unshare", "--net"}, ahead...), probes.Contained}} {
		s := entered(t, c.prefix...)
		begin := time.Now()
		f := verdict(t, s, canaryID)
		if f.Verdict != c.want {
			t.Errorf("%q: %s", c.prefix, f)
		}
		for _, a := range f.Attempts {
			if a.Elapsed() > time.Since(begin) {
				t.Errorf("%q: an attempt took %s of %s", c.prefix, a.Elapsed(), time.Since(begin))
			}
		}
	}
}
