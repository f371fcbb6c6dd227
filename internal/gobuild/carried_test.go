package gobuild

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
)

var agent = Target{"bottle-agent", "linux", "arm64"}

// parcels packs an agent of the given content and opens what became of it.
func parcels(t *testing.T, content string) *parcel {
	t.Helper()
	dir, bin := t.TempDir(), filepath.Join(t.TempDir(), "built")
	if err := os.WriteFile(bin, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := Pack(dir, Release{Version: "1.2.3", Kit: "k"}, map[Target]string{agent: bin}, []byte(`{"kit":"k"}`)); err != nil {
		t.Fatal(err)
	}
	p, err := openParcel(os.DirFS(dir))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func content(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestWhatIsPackedComesOut(t *testing.T) {
	p, cache := parcels(t, "an agent"), t.TempDir()
	path, err := p.binary(cache, agent)
	if err != nil || content(t, path) != "an agent" || filepath.Base(path) != "bottle-agent" {
		t.Fatalf("%s, %v", path, err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o755 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if b, err := p.content(agent); err != nil || string(b) != "an agent" {
		t.Errorf("%q, %v", b, err)
	}
	if kills, err := fs.ReadFile(p.files, "kills/k.json"); err != nil || string(kills) != `{"kit":"k"}` {
		t.Errorf("%s, %v", kills, err)
	}
	if p.Version != "1.2.3" || p.Kit != "k" {
		t.Errorf("%+v", p.Release)
	}
}

// Whatever is found in the place of a binary is not run unless it is the one that is carried.
func TestWhatLiesInTheCacheIsNotBelieved(t *testing.T) {
	p := parcels(t, "an agent")
	for name, spoil := range map[string]func(path string) error{
		"other content":     func(path string) error { return os.WriteFile(path, []byte("a spoon!"), 0o755) },
		"cut off":           func(path string) error { return os.Truncate(path, 3) },
		"empty":             func(path string) error { return os.Truncate(path, 0) },
		"not to be run":     func(path string) error { return os.Chmod(path, 0o644) },
		"for all to write":  func(path string) error { return os.Chmod(path, 0o777) },
		"a link to another": func(path string) error { return errors.Join(os.Rename(path, path+"2"), os.Symlink(path+"2", path)) },
		"gone":              os.Remove,
	} {
		cache := t.TempDir()
		path, err := p.binary(cache, agent)
		if err != nil {
			t.Fatal(err)
		}
		if err := spoil(path); err != nil {
			t.Fatal(err)
		}
		if again, err := p.binary(cache, agent); err != nil || again != path || content(t, path) != "an agent" {
			t.Errorf("%s: %s has %q, %v", name, again, content(t, path), err)
		}
		if info, err := os.Lstat(path); err != nil || info.Mode() != 0o755 {
			t.Errorf("%s: %v, %v", name, info.Mode(), err)
		}
	}
}

// A file that is as it should be stays: whoever runs it is not disturbed.
func TestUnpackedOnce(t *testing.T) {
	p, cache := parcels(t, "an agent"), t.TempDir()
	path, err := p.binary(cache, agent)
	if err != nil {
		t.Fatal(err)
	}
	first, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.binary(cache, agent); err != nil {
		t.Fatal(err)
	}
	if second, err := os.Stat(path); err != nil || !os.SameFile(first, second) {
		t.Errorf("it was unpacked again, %v", err)
	}
}

// Many unpack at once into one cache, and each finds the file whole.
func TestUnpackedByManyAtOnce(t *testing.T) {
	p, cache := parcels(t, strings.Repeat("an agent ", 1<<17)), t.TempDir()
	var group sync.WaitGroup
	for range 16 {
		group.Go(func() {
			path, err := p.binary(cache, agent)
			if err != nil {
				t.Error(err)
				return
			}
			if b, err := os.ReadFile(path); err != nil || sum(b) != p.Binaries[0].SHA256 {
				t.Errorf("%d bytes, %v", len(b), err)
			}
		})
	}
	group.Wait()
	left, err := filepath.Glob(filepath.Join(cache, "bottle", "bin", "*", ".*"))
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %q, %v", left, err)
	}
}

func TestWhereNothingCanBeUnpacked(t *testing.T) {
	p, cache := parcels(t, "an agent"), filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(cache, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if path, err := p.binary(cache, agent); err == nil || !strings.Contains(err.Error(), "unpacking bottle-agent") {
		t.Errorf("%q, %v", path, err)
	}
}

func TestWhatIsNotCarried(t *testing.T) {
	p := parcels(t, "an agent")
	for _, other := range []Target{{"bottle-agent", "linux", "riscv64"}, {"smolvm-sim", "linux", "arm64"}, {"bottle-agent", "darwin", "arm64"}} {
		if path, err := p.binary(t.TempDir(), other); !errors.Is(err, ErrNotCarried) {
			t.Errorf("%v: %q, %v", other, path, err)
		}
		if _, err := p.content(other); !errors.Is(err, ErrNotCarried) {
			t.Errorf("%v: %v", other, err)
		}
	}
}

// A release that was put together wrongly says so, and runs nothing.
func TestBrokenParcel(t *testing.T) {
	p := parcels(t, "an agent")
	wrong := &parcel{Release: p.Release, files: parcels(t, "a spoon!").files}
	if path, err := wrong.binary(t.TempDir(), agent); err == nil {
		t.Errorf("%q was taken for what it is not", path)
	}
	for name, files := range map[string]fstest.MapFS{
		"nothing": {}, "no manifest": {manifestName: {Data: []byte("{")}},
	} {
		if _, err := openParcel(files); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	empty := &parcel{Release: p.Release, files: fstest.MapFS{p.Binaries[0].file(): {Data: []byte("not compressed")}}}
	if _, err := empty.content(agent); err == nil {
		t.Error("no error")
	}
}

// What is not a release finds its sources and says what it is.
func TestFromSource(t *testing.T) {
	if r, err := Released(); r != nil || err != nil {
		t.Errorf("%v, %v", r, err)
	}
	if _, err := ModuleDir(t.Context()); err != nil {
		t.Error(err)
	}
}
