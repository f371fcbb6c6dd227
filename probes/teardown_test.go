package probes

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"bottle.internal/internal/echo"
	"bottle.internal/probes/agent"
)

// writesTo is a guest whose files are in dir on the host; "" keeps them to itself.
func writesTo(dir string) guest {
	return func(a agent.Attempt) agent.Result {
		if a.Method != agent.Leave || dir == "" {
			return agent.Result{Stage: agent.StageDone}
		}
		if err := os.WriteFile(filepath.Join(dir, string(a.Nonce)[:8]), []byte(a.Nonce+"\n"), 0o600); err != nil {
			return agent.Result{Stage: agent.StageRead, Errno: "EACCES"}
		}
		return agent.Result{Stage: agent.StageDone}
	}
}

func TestTeardown(t *testing.T) {
	for name, c := range map[string]struct {
		writes, known bool
		end           func(home, temp string) error
		want          Verdict
	}{
		"all of it goes":              {true, true, func(home, _ string) error { return os.RemoveAll(home) }, Contained},
		"the disk is there still":     {true, true, func(string, string) error { return nil }, Leak},
		"it is moved to the host's":   {true, true, func(home, temp string) error { return os.Rename(home, filepath.Join(temp, "saved")) }, Leak},
		"nothing is ever to be found": {false, true, func(home, _ string) error { return os.RemoveAll(home) }, Inconclusive},
		"nobody knows where it is":    {true, false, func(home, _ string) error { return os.RemoveAll(home) }, Inconclusive},
		"it cannot be destroyed":      {true, true, func(home, _ string) error { return errors.Join(os.RemoveAll(home), errors.New("busy")) }, Error},
	} {
		t.Run(name, func(t *testing.T) {
			temp, home := t.TempDir(), filepath.Join(t.TempDir(), "vm")
			t.Setenv("TMPDIR", temp)
			t.Setenv("HOME", t.TempDir())
			s := site(t, TSI)
			s.Peer = func(context.Context, PeerSpec) (*Peer, error) {
				dir := ""
				if c.writes {
					dir = home
				}
				p := &Peer{Name: "a peer", Run: writesTo(dir).run(nil), Close: func(context.Context) error { return c.end(home, temp) }}
				if c.known {
					p.Home = home
				}
				return p, os.MkdirAll(home, 0o700)
			}
			rep, err := Run(t.Context(), s, quick, postTeardown)
			if err != nil {
				t.Fatal(err)
			}
			if f := finding(t, rep, postTeardown); f.Verdict != c.want {
				t.Errorf("want %s: %s", c.want, f)
			}
		})
	}
}

// A disk is searched without its holes, and across the pieces in which it is read.
func TestSearchOfADisk(t *testing.T) {
	dir := t.TempDir()
	f, err := os.Create(filepath.Join(dir, "disk.raw"))
	if err != nil {
		t.Fatal(err)
	}
	across, far, none := echo.NewNonce(), echo.NewNonce(), echo.NewNonce()
	const size = 1 << 40
	for at, text := range map[int64]echo.Nonce{remainsChunk - 16: across, size - 100: far} {
		if _, err := f.WriteAt([]byte(text), at); err != nil {
			t.Skipf("no file of a terabyte here: %v", err)
		}
	}
	if _, err := f.WriteAt(bytes.Repeat([]byte("x"), remainsChunk-16), 0); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(f.Truncate(size), f.Close()); err != nil {
		t.Fatal(err)
	}
	found, err := searchAll(t.Context(), dir, []echo.Nonce{across, far, none})
	if err != nil || len(found) != 2 {
		t.Errorf("%v, %v", found, err)
	}
	if found, err := searchAll(t.Context(), filepath.Join(dir, "gone"), []echo.Nonce{far}); err != nil || found != nil {
		t.Errorf("of nothing: %v, %v", found, err)
	}
}

// Of the host's own directories only what is new is looked at.
func TestSearchOfTheHost(t *testing.T) {
	dir, n := t.TempDir(), echo.NewNonce()
	old := filepath.Join(dir, "old")
	for _, path := range []string{old, filepath.Join(dir, "new")} {
		if err := os.WriteFile(path, []byte(n), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	hour := time.Now().Add(-time.Hour)
	if err := os.Chtimes(old, hour, hour); err != nil {
		t.Fatal(err)
	}
	found, err := searchRecent(t.Context(), dir, []echo.Nonce{n}, time.Now().Add(-time.Minute))
	if err != nil || len(found) != 1 || found[0].path == old {
		t.Errorf("%v, %v", found, err)
	}
}
