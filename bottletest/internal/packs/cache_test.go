package packs

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gofrs/flock"
	"github.com/google/go-cmp/cmp"
)

var alpine = Key{Reference: "alpine:3.20", Digest: "sha256:aa", Arch: "amd64", Smolvm: "1.9.3"}

// writes is a build whose pack holds text.
func writes(text string) func(context.Context, string) (string, error) {
	return func(_ context.Context, dir string) (string, error) {
		pack := filepath.Join(dir, "made.smolmachine")
		stub := filepath.Join(dir, "made")
		return pack, errors.Join(os.WriteFile(pack, []byte(text), 0o600), os.WriteFile(stub, nil, 0o700))
	}
}

// never is a build that must not run.
func never(t *testing.T) func(context.Context, string) (string, error) {
	return func(context.Context, string) (string, error) {
		t.Error("a pack was made although there is one")
		return "", errors.New("never")
	}
}

func use(t *testing.T, c *Cache, k Key, build func(context.Context, string) (string, error)) *Pack {
	t.Helper()
	p, err := c.Use(t.Context(), k, build)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Release() })
	return p
}

func wantContent(t *testing.T, p *Pack, want string) {
	t.Helper()
	if got, err := os.ReadFile(p.Path); err != nil || string(got) != want {
		t.Errorf("the pack holds %q, %v; want %q", got, err, want)
	}
}

func TestMadeOnce(t *testing.T) {
	c := &Cache{Dir: filepath.Join(t.TempDir(), "packs")}
	first := use(t, c, alpine, writes("one"))
	again := use(t, c, alpine, never(t))
	if !first.Made || first.Damage != "" || again.Made || first.Path != again.Path || first.SHA256 != again.SHA256 || len(first.SHA256) != 64 {
		t.Errorf("%+v, then %+v", first, again)
	}
	wantContent(t, again, "one")
	if left, err := os.ReadDir(c.newDir()); err != nil || len(left) > 0 {
		t.Errorf("the build left %v, %v", left, err)
	}
	if beside, err := os.ReadDir(filepath.Dir(again.Path)); err != nil || len(beside) != 2 {
		t.Errorf("beside the pack: %v, %v", beside, err)
	}
}

// TestKeysNeverMix changes each field of a key in turn, and shifts text from one field into the next.
func TestKeysNeverMix(t *testing.T) {
	for name, k := range map[string]Key{
		"reference":    {"alpine:3.21", alpine.Digest, alpine.Arch, alpine.Smolvm},
		"content":      {alpine.Reference, "sha256:bb", alpine.Arch, alpine.Smolvm},
		"architecture": {alpine.Reference, alpine.Digest, "arm64", alpine.Smolvm},
		"release":      {alpine.Reference, alpine.Digest, alpine.Arch, "1.8.0"},
		"simulated":    {alpine.Reference, alpine.Digest, alpine.Arch, "1.9.3 (simulated)"},
		"shifted":      {alpine.Reference + " sha256:aa", "", alpine.Arch, alpine.Smolvm},
	} {
		c := &Cache{Dir: t.TempDir()}
		use(t, c, alpine, writes("one"))
		if p := use(t, c, k, writes("other")); !p.Made {
			t.Errorf("another %s gives the same pack", name)
		} else {
			wantContent(t, p, "other")
		}
		wantContent(t, use(t, c, alpine, never(t)), "one")
	}
}

func TestFailedBuildLeavesNothing(t *testing.T) {
	c := &Cache{Dir: t.TempDir()}
	broken := errors.New("broken")
	_, err := c.Use(t.Context(), alpine, func(ctx context.Context, dir string) (string, error) {
		path, _ := writes("half")(ctx, dir)
		return path, broken
	})
	if !errors.Is(err, broken) {
		t.Fatal(err)
	}
	if left, err := os.ReadDir(c.newDir()); err != nil || len(left) > 0 {
		t.Errorf("left: %v, %v", left, err)
	}
	wantContent(t, use(t, c, alpine, writes("whole")), "whole")
}

// TestDamagedPackIsMadeAnew damages the pack or what is written down of it in every way, the last ones so that size and times stay.
func TestDamagedPackIsMadeAnew(t *testing.T) {
	for name, damage := range map[string]func(t *testing.T, p *Pack, entry string){
		"cut off":       func(t *testing.T, p *Pack, _ string) { must(t, os.Truncate(p.Path, 1)) },
		"gone":          func(t *testing.T, p *Pack, _ string) { must(t, os.Remove(p.Path)) },
		"note cut off":  func(t *testing.T, _ *Pack, e string) { must(t, os.Truncate(e, 5)) },
		"note of other": func(t *testing.T, _ *Pack, e string) { must(t, os.WriteFile(e, []byte(`{"reference":"x"}`), 0o600)) },
		"one byte, times set back": func(t *testing.T, p *Pack, _ string) {
			before, err := os.Stat(p.Path)
			must(t, err)
			must(t, os.WriteFile(p.Path, []byte("oNe"), 0o600))
			must(t, os.Chtimes(p.Path, before.ModTime(), before.ModTime()))
		},
	} {
		t.Run(name, func(t *testing.T) {
			var said []string
			c := &Cache{Dir: t.TempDir(), Logf: func(f string, _ ...any) { said = append(said, f) }}
			p := use(t, c, alpine, writes("one"))
			must(t, p.Release())
			damage(t, p, c.entryFile(alpine.id()))
			if again := use(t, c, alpine, writes("one")); !again.Made || !strings.Contains(again.Damage, "damaged") {
				t.Errorf("a damaged pack was handed out, or not said to be: %+v", again)
			}
			if !strings.Contains(strings.Join(said, "\n"), "damaged") {
				t.Errorf("the damage was not said: %q", said)
			}
		})
	}
}

// TestTouchedPackIsNotDamaged: another time on the same content costs one reading, not one build.
func TestTouchedPackIsNotDamaged(t *testing.T) {
	c := &Cache{Dir: t.TempDir()}
	p := use(t, c, alpine, writes("one"))
	must(t, os.Chtimes(p.Path, time.Unix(1, 0), time.Unix(1, 0)))
	use(t, c, alpine, never(t))
	e, err := c.read(alpine.id())
	must(t, err)
	if now, err := printOf(p.Path); err != nil || now != e.Print {
		t.Errorf("the reading was not written down: %+v, %+v, %v", e.Print, now, err)
	}
}

func TestOneBuildForAll(t *testing.T) {
	c := &Cache{Dir: t.TempDir()}
	var builds, made atomic.Int32
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			p, err := c.Use(t.Context(), alpine, func(ctx context.Context, dir string) (string, error) {
				builds.Add(1)
				return writes("one")(ctx, dir)
			})
			if err != nil {
				t.Error(err)
				return
			}
			if p.Made {
				made.Add(1)
			}
			_ = p.Release()
		})
	}
	wg.Wait()
	if builds.Load() != 1 || made.Load() != 1 {
		t.Errorf("%d builds, %d callers say they made it", builds.Load(), made.Load())
	}
}

// TestWaitEndsWithItsContext: a damaged pack that somebody has in use cannot be replaced under them.
func TestWaitEndsWithItsContext(t *testing.T) {
	c := &Cache{Dir: t.TempDir()}
	p := use(t, c, alpine, writes("one"))
	must(t, os.Truncate(p.Path, 1))
	ctx, cancel := context.WithTimeout(t.Context(), 5*lockPoll)
	defer cancel()
	if _, err := c.Use(ctx, alpine, never(t)); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "waiting") {
		t.Errorf("%v", err)
	}
}

func TestNewest(t *testing.T) {
	c := &Cache{Dir: t.TempDir()}
	if _, err := c.Newest(t.Context(), alpine); !errors.Is(err, ErrNone) || strings.Contains(err.Error(), "\n") {
		t.Errorf("of an empty cache: %v", err)
	}
	moved, other := alpine, alpine
	moved.Digest, other.Smolvm = "sha256:bb", "1.9.3 (simulated)"
	for i, step := range []struct {
		k    Key
		text string
	}{{alpine, "first"}, {moved, "second"}, {other, "simulated"}, {alpine, "first"}} {
		must(t, use(t, c, step.k, writes(step.text)).Release())
		at := time.Unix(int64(1000+i), 0) // apart, whatever the file system's clock can tell
		must(t, os.Chtimes(c.entryFile(step.k.id()), at, at))
	}
	wantContent(t, newest(t, c, alpine), "first") // the tag was moved, and moved back
	must(t, os.Truncate(c.packFile(alpine.id()), 1))
	wantContent(t, newest(t, c, alpine), "second")
	must(t, os.Truncate(c.packFile(moved.id()), 1))
	if _, err := c.Newest(t.Context(), alpine); !errors.Is(err, ErrNone) || !strings.Contains(err.Error(), "damaged") {
		t.Errorf("of damaged ones: %v", err)
	}
}

func newest(t *testing.T, c *Cache, k Key) *Pack {
	t.Helper()
	p, err := c.Newest(t.Context(), k)
	if err != nil {
		t.Fatal(err)
	}
	must(t, p.Release())
	return p
}

func TestHold(t *testing.T) {
	c := &Cache{Dir: t.TempDir()}
	if p, err := c.Hold(t.Context(), "/somewhere/else.smolmachine"); p != nil || err != nil {
		t.Errorf("a pack of the caller's own: %v, %v", p, err)
	}
	made := use(t, c, alpine, writes("one"))
	must(t, made.Release())
	held, err := c.Hold(t.Context(), made.Path)
	must(t, err)
	if free, err := flock.New(c.lockFile(alpine.id())).TryLock(); free || err != nil {
		t.Errorf("a pack in use can be removed: %t, %v", free, err)
	}
	must(t, held.Release())
	must(t, os.Truncate(made.Path, 1))
	if _, err := c.Hold(t.Context(), made.Path); !errors.Is(err, ErrNone) {
		t.Errorf("a damaged pack can be used: %v", err)
	}
}

func TestFileDigest(t *testing.T) {
	c := &Cache{Dir: t.TempDir()}
	path := filepath.Join(t.TempDir(), "x.tar")
	must(t, os.WriteFile(path, []byte("x"), 0o600))
	want := "sha256:2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"
	for range 2 {
		if got, err := c.FileDigest(path); err != nil || got != want {
			t.Errorf("%s, %v", got, err)
		}
	}
	must(t, os.WriteFile(path, []byte("y"), 0o600))
	if got, err := c.FileDigest(path); err != nil || got == want {
		t.Errorf("another content has the same digest: %s, %v", got, err)
	}
	if _, err := c.FileDigest(path + ".no"); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestLinesOfKeys(t *testing.T) {
	if diff := cmp.Diff([]string{`"alpine:3.20"`, `"sha256:aa"`}, []string{alpine.title(), Key{Digest: "sha256:aa"}.title()}); diff != "" {
		t.Error(diff)
	}
}
