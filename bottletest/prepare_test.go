package bottletest

import (
	"context"
	"errors"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"bottle.internal/smolvm/smolvmtest"
)

// fakePack is `pack create` of a smolvm that pulls as the real one does: over http, by the reference that it is given. The pack names the
// config of the image. A reference in a repository called "refused" is one that it cannot pull.
func fakePack(c smolvmtest.Call) smolvmtest.Reply {
	flag := func(name string) string { return c.Argv[slices.Index(c.Argv, name)+1] }
	image, out := flag("--image"), flag("-o")
	if _, err := os.Stat(filepath.Join(c.State, "refuse")); err == nil {
		return smolvmtest.Reply{Exit: 1, Stderr: "Error: agent operation failed: pull image: connection refused\n"}
	}
	ref, err := name.NewDigest(image)
	if err != nil {
		return smolvmtest.Reply{Exit: 1, Stderr: "Error: not by content: " + err.Error() + "\n"}
	}
	img, err := remote.Image(ref)
	if err != nil {
		return smolvmtest.Reply{Exit: 1, Stderr: "Error: pull: " + err.Error() + "\n"}
	}
	config, err := img.ConfigName()
	if err = errors.Join(err, os.WriteFile(out+".smolmachine", []byte("pack of "+config.String()), 0o600), os.WriteFile(out, nil, 0o700)); err != nil {
		return smolvmtest.Reply{Exit: 1, Stderr: "Error: " + err.Error() + "\n"}
	}
	return smolvmtest.Reply{}
}

var handlers = map[string]smolvmtest.Handler{"pack": fakePack}

// packer is a fake smolvm that packs.
func packer(t *testing.T, release string) *smolvmtest.Fake {
	t.Helper()
	return smolvmtest.New(t, smolvmtest.Version(release), smolvmtest.Reply{Argv: []string{"pack", "create"}, Handler: "pack", Times: smolvmtest.AnyTimes})
}

// ownCache gives the test a cache of its own.
func ownCache(t *testing.T) {
	t.Helper()
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	t.Setenv("HOME", t.TempDir())
	t.Setenv("BOTTLE_ENGINE", "")
}

func guestImage(t *testing.T) v1.Image {
	t.Helper()
	img, err := random.Image(1000, 2)
	if err != nil {
		t.Fatal(err)
	}
	config, err := img.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	config = config.DeepCopy()
	config.OS, config.Architecture = "linux", guestArch
	if img, err = mutate.ConfigFile(img, config); err != nil {
		t.Fatal(err)
	}
	return img
}

// published pushes img to a registry of the test's under /repo:tag, and returns the reference and how to end the registry.
func published(t *testing.T, img v1.Image) (string, *httptest.Server) {
	t.Helper()
	server := httptest.NewServer(registry.New())
	t.Cleanup(server.Close)
	ref := strings.TrimPrefix(server.URL, "http://") + "/repo:tag"
	push(t, ref, img)
	return ref, server
}

func push(t *testing.T, ref string, img v1.Image) {
	t.Helper()
	if err := remote.Write(must(name.ParseReference(ref))(t), img); err != nil {
		t.Fatal(err)
	}
}

func archived(t *testing.T, img v1.Image) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "image.tar")
	if err := tarball.WriteToFile(path, must(name.NewTag("a:b"))(t), img); err != nil {
		t.Fatal(err)
	}
	return path
}

func must[T any](v T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func prepared(t *testing.T, fake *smolvmtest.Fake, image string, opts PrepareOptions) Prepared {
	t.Helper()
	opts.Smolvm = fake.Path
	p := must(Prepare(t.Context(), image, opts))(t)
	t.Cleanup(func() { _ = p.Close() })
	return p
}

func wantPackOf(t *testing.T, p Prepared, img v1.Image) {
	t.Helper()
	want := "pack of " + must(img.ConfigName())(t).String()
	if got, err := os.ReadFile(p.Boot); err != nil || string(got) != want {
		t.Errorf("%q holds %q, %v; want %q", p.Boot, got, err, want)
	}
}

func TestPrepareReference(t *testing.T) {
	ownCache(t)
	first, second := guestImage(t), guestImage(t)
	ref, _ := published(t, first)
	fake := packer(t, "1.9.3")
	made := prepared(t, fake, ref, PrepareOptions{})
	wantPackOf(t, made, first)
	if made.Digest != must(first.Digest())(t).String() || made.Road != RoadRegistry || !made.Made || made.Image != ref || made.Smolvm != "1.9.3" {
		t.Errorf("%+v", made)
	}
	if again := prepared(t, fake, ref, PrepareOptions{}); again.Made || again.Boot != made.Boot {
		t.Errorf("the second time: %+v", again)
	}
	if n := len(fake.Lines()); n != 1 {
		t.Errorf("%d packs were made, want one", n)
	}
	push(t, ref, second)
	moved := prepared(t, fake, ref, PrepareOptions{})
	wantPackOf(t, moved, second)
	wantPackOf(t, made, first) // who has it in use keeps it
	push(t, ref, first)
	if back := prepared(t, fake, ref, PrepareOptions{}); back.Made || back.Boot != made.Boot {
		t.Errorf("a tag that was moved back: %+v", back)
	}
}

// TestPreparedForOneRelease: neither another release nor its simulator gets the pack.
func TestPreparedForOneRelease(t *testing.T) {
	ownCache(t)
	img := guestImage(t)
	path := archived(t, img)
	seen := map[string]string{}
	for _, release := range []string{"1.9.3", "1.8.0"} {
		p := prepared(t, packer(t, release), path, PrepareOptions{})
		if other, ok := seen[p.Boot]; ok || !p.Made {
			t.Errorf("%s gets the pack of %s", release, other)
		}
		seen[p.Boot] = release
	}
}

func TestPrepareOffline(t *testing.T) {
	ownCache(t)
	img := guestImage(t)
	ref, server := published(t, img)
	fake := packer(t, "1.9.3")
	_, err := Prepare(t.Context(), ref, PrepareOptions{Smolvm: fake.Path, Offline: true})
	if !errors.Is(err, ErrNotPrepared) || strings.Contains(err.Error(), "\n") {
		t.Errorf("of an empty cache: %v", err)
	}
	made := prepared(t, fake, ref, PrepareOptions{})
	server.Close()
	if p := prepared(t, fake, ref, PrepareOptions{Offline: true}); p.Boot != made.Boot || p.Made || p.Digest != made.Digest {
		t.Errorf("%+v", p)
	}
	if _, err := Prepare(t.Context(), ref, PrepareOptions{Smolvm: fake.Path}); err == nil || strings.Contains(err.Error(), "\n") {
		t.Errorf("a registry that does not answer is passed over without a word: %v", err)
	}
	if n := len(fake.Lines()); n != 1 {
		t.Errorf("%d packs were made, want one", n)
	}
}

// TestPrepareArchive: two names of one content are one image, and a registry for it is nobody's but this process's.
func TestPrepareArchive(t *testing.T) {
	ownCache(t)
	img := guestImage(t)
	path := archived(t, img)
	fake := packer(t, "0.8.0")
	made := prepared(t, fake, path, PrepareOptions{})
	wantPackOf(t, made, img)
	if made.Road != RoadLoopback || !made.Made || !strings.HasPrefix(made.Digest, "sha256:") || made.Why != "" {
		t.Errorf("%+v", made)
	}
	copied := filepath.Join(t.TempDir(), "other.tar")
	if err := os.WriteFile(copied, must(os.ReadFile(path))(t), 0o600); err != nil {
		t.Fatal(err)
	}
	if again := prepared(t, fake, copied, PrepareOptions{Offline: true}); again.Made || again.Boot != made.Boot {
		t.Errorf("%+v", again)
	}
	if line := fake.Lines()[0]; !strings.Contains(line, "--image localhost:") || !strings.Contains(line, "--oci-platform linux/"+guestArch) {
		t.Errorf("%s", line)
	}
}

// TestArchiveThatCannotBePacked: the other road is taken where there is one, and both are named where there is none.
func TestArchiveThatCannotBePacked(t *testing.T) {
	img := guestImage(t)
	path := archived(t, img)
	for release, boots := range map[string]bool{"0.8.0": false, "1.0.4": false, "1.1.0": true, "1.9.3": true} {
		ownCache(t)
		fake := packer(t, release)
		if err := os.WriteFile(filepath.Join(filepath.Dir(fake.Path), "refuse"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		p, err := Prepare(t.Context(), path, PrepareOptions{Smolvm: fake.Path})
		if boots && (err != nil || p.Road != RoadDirect || p.Boot != path || !strings.Contains(p.Why, "localhost") || p.SHA256 != "") {
			t.Errorf("%s: %+v, %v", release, p, err)
		}
		if !boots && (err == nil || !strings.Contains(err.Error(), "localhost") || !strings.Contains(err.Error(), "1.1.0") || strings.Contains(err.Error(), "\n")) {
			t.Errorf("%s: %v", release, err)
		}
	}
}

func TestPrepareGivenPack(t *testing.T) {
	ownCache(t)
	img := guestImage(t)
	fake := packer(t, "1.9.3")
	made := prepared(t, fake, archived(t, img), PrepareOptions{})
	if held := prepared(t, fake, made.Boot, PrepareOptions{}); held.Road != RoadPack || held.Digest != made.Digest || held.SHA256 != made.SHA256 || held.hold == nil {
		t.Errorf("one of the cache: %+v", held)
	}
	own := filepath.Join(t.TempDir(), "own.smolmachine")
	if err := os.WriteFile(own, must(os.ReadFile(made.Boot))(t), 0o600); err != nil {
		t.Fatal(err)
	}
	if p := prepared(t, fake, own, PrepareOptions{}); p.Boot != own || p.SHA256 != made.SHA256 || p.hold != nil {
		t.Errorf("one of the caller's: %+v", p)
	}
}

func TestPrepareDirectory(t *testing.T) {
	ownCache(t)
	dir := t.TempDir()
	if p := prepared(t, packer(t, "1.1.0"), dir, PrepareOptions{}); p.Boot != dir || p.Road != RoadDirect {
		t.Errorf("%+v", p)
	}
	if _, err := Prepare(t.Context(), dir, PrepareOptions{Smolvm: packer(t, "1.0.4").Path}); !errors.Is(err, ErrConfig) || !strings.Contains(err.Error(), "1.1.0") {
		t.Errorf("%v", err)
	}
}

func TestPrepareRefuses(t *testing.T) {
	ownCache(t)
	text := filepath.Join(t.TempDir(), "x.tar")
	if err := os.WriteFile(text, []byte(strings.Repeat("no tar", 200)), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, image := range []string{"No Reference", "./nowhere.tar", "/nowhere.smolmachine", "-", text} {
		fake := packer(t, "1.9.3")
		_, err := Prepare(t.Context(), image, PrepareOptions{Smolvm: fake.Path})
		if !errors.Is(err, ErrConfig) || strings.Contains(err.Error(), "\n") || len(fake.Lines()) > 0 {
			t.Errorf("%q: %v; calls %q", image, err, fake.Lines())
		}
	}
	if p, err := Prepare(t.Context(), "", PrepareOptions{Smolvm: "/nowhere"}); err != nil || p != (Prepared{}) {
		t.Errorf("a guest without an image: %+v, %v", p, err)
	}
}

// TestRecordedPackIsNotPruned: a machine that was kept reads its pack again, though no process holds it.
func TestRecordedPackIsNotPruned(t *testing.T) {
	ownCache(t)
	fake := packer(t, "1.9.3")
	first := prepared(t, fake, archived(t, guestImage(t)), PrepareOptions{})
	kept := record{Slug: "kept-x", Pack: first.Boot}
	if err := errors.Join(kept.write(), first.Close()); err != nil {
		t.Fatal(err)
	}
	cache := must(newPackCache(t.Logf))(t)
	cache.Limit = 1
	if removed := cache.Prune(); len(removed) > 0 {
		t.Errorf("removed %q", removed)
	}
	if err := kept.remove(); err != nil {
		t.Fatal(err)
	}
	if removed := cache.Prune(); !slices.Equal(removed, []string{first.Boot}) {
		t.Errorf("removed %q", removed)
	}
}

// TestInterruptedArchiveTakesNoOtherRoad: a caller who gave up is not answered with a slower launch.
func TestInterruptedArchiveTakesNoOtherRoad(t *testing.T) {
	ownCache(t)
	path := archived(t, guestImage(t))
	fake := smolvmtest.New(t, smolvmtest.Version("1.9.3"))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if p, err := Prepare(ctx, path, PrepareOptions{Smolvm: fake.Path}); !errors.Is(err, context.Canceled) {
		t.Errorf("%+v, %v", p, err)
	}
}
