package probes

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"bottle.internal/internal/echo"
)

func newUnixCanary(t *testing.T, path string) *UnixCanary {
	t.Helper()
	c, err := NewUnixCanary("socket", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func TestUnixCanaryProvesAndLogs(t *testing.T) {
	for _, path := range unixPaths(t) {
		c := newUnixCanary(t, path)
		n := echo.NewNonce()
		reply, err := echo.ParseResponse(say(t, "unix", c.Path(), echo.Request(n)))
		if err != nil || !c.Secret().Verify(n, reply) || reply.Local != path {
			t.Errorf("%s: %+v, %v", path, reply, err)
		}
		say(t, "unix", c.Path(), []byte("HELO\n"))
		if err := c.Target().Alive(t.Context()); err != nil {
			t.Errorf("%s: %v", path, err)
		}
		all := sightings(t, c)
		if len(all) != 2 || all[0].Nonce != n || all[0].Network != "unix" || all[0].Local != path {
			t.Errorf("%s: sightings %+v", path, all)
		}
		if got := c.Strangers(time.Time{}); len(got) != 1 {
			t.Errorf("%s: strangers %+v", path, got)
		}
		if again, err := NewUnixCanary("x", path); err == nil {
			_ = again.Close()
			t.Errorf("%s: two canaries at one path", path)
		}
		for range 2 {
			if err := c.Close(); err != nil {
				t.Error(err)
			}
		}
		if err := c.Alive(t.Context()); err == nil {
			t.Errorf("%s: a closed canary is alive", path)
		}
		if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s is left behind: %v", path, err)
		}
	}
}

func TestUnixCanaryTakesNothingAway(t *testing.T) {
	path := filepath.Join(t.TempDir(), "there")
	if err := os.WriteFile(path, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{path, "", filepath.Join(t.TempDir(), "none", "x"), filepath.Join(t.TempDir(), strings.Repeat("x", 200))} {
		if c, err := NewUnixCanary("x", path); err == nil {
			_ = c.Close()
			t.Errorf("a canary at %q", path)
		}
	}
	if b, err := os.ReadFile(path); err != nil || string(b) != "mine" {
		t.Errorf("%q, %v", b, err)
	}
}

// Whoever is on the host may connect: a denial is not the file's.
func TestUnixCanaryIsOpenToAll(t *testing.T) {
	c := newUnixCanary(t, filepath.Join(t.TempDir(), "s"))
	if info, err := os.Stat(c.Path()); err != nil || info.Mode().Perm() != 0o666 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
}

func unixPaths(t *testing.T) []string {
	paths := []string{filepath.Join(t.TempDir(), "s")}
	if runtime.GOOS == "linux" {
		paths = append(paths, "@bottle-"+string(echo.NewNonce()))
	}
	return paths
}
