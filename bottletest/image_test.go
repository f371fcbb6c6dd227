package bottletest

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"bottle.internal/internal/echo"
	"bottle.internal/smolvm/smolvmtest"
)

// launchImage launches a bottle from image against a fake smolvm of that release.
func launchImage(t *testing.T, release, image string) (*Bottle, *smolvmtest.Fake, error) {
	t.Helper()
	replies := []smolvmtest.Reply{smolvmtest.Version(release), {Argv: []string{"pack", "create"}, Handler: "pack", Times: smolvmtest.AnyTimes}}
	for _, v := range []string{"create", "start", "cp", "stop", "delete"} {
		replies = append(replies, smolvmtest.Reply{Argv: []string{"machine", v}, Times: smolvmtest.AnyTimes})
	}
	replies = append(replies, smolvmtest.Reply{Guest: &smolvmtest.Guest{}, Times: smolvmtest.AnyTimes})
	fake := smolvmtest.New(t, replies...)
	cfg := Config{Name: "image", Engine: Smolvm, Smolvm: fake.Path, Agent: fake.Path, Ungated: true, Artifacts: t.TempDir(), Image: image, Topology: Bridge, BundleRuntime: Container}
	side := &fakeSidecar{failAt: "canary"}
	b, err := run(t.Context(), cfg, echo.NewSecret(), parts{func(BundleRuntime) sidecar { return side }, findEngine, thisHost{}})
	return b, fake, err
}

// TestLaunchFromAnImage: the machine boots the pack, nobody can prune it until the machine is gone, and the plan says what it is.
func TestLaunchFromAnImage(t *testing.T) {
	ownCache(t)
	img := guestImage(t)
	path := archived(t, img)
	b, fake, err := launchImage(t, "1.9.3", path)
	if err != nil {
		t.Fatal(err)
	}
	create := fake.Calls()[slices.IndexFunc(fake.Calls(), func(c smolvmtest.Call) bool { return slices.Contains(c.Argv, "create") && c.Argv[0] == "machine" })]
	at := slices.Index(create.Argv, "--from")
	if at < 0 || create.Argv[at+1] != b.image.Boot || slices.Contains(create.Argv, "--image") {
		t.Fatalf("%q", create.Argv)
	}
	wantPackOf(t, b.image, img)
	plan := b.Plan()
	if plan.Image != path || plan.ImageDigest == "" || plan.ImageRoad != RoadLoopback || !strings.Contains(plan.String(), plan.ImageDigest) {
		t.Errorf("%s", plan)
	}
	if policy := effectiveText(plan); !slices.ContainsFunc(policy, func(s string) bool { return strings.Contains(s, "known by flag") }) {
		t.Errorf("how the policy is known is not said: %q", policy)
	}
	cache := must(newPackCache(t.Logf))(t)
	cache.Limit = 1
	if removed := cache.Prune(); len(removed) > 0 {
		t.Errorf("pruned under a bottle: %q", removed)
	}
	if err := b.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"machine stop", "machine delete", "image", "record"}, slices.DeleteFunc(slices.Clone(b.undo.ran), func(s string) bool { return strings.HasPrefix(s, "bundle") || s == "network" })); diff != "" {
		t.Errorf("undone: %s", diff)
	}
	if removed := cache.Prune(); len(removed) != 1 {
		t.Errorf("not let go after the bottle: %q", removed)
	}
}

// TestLaunchFromADirectory boots it as it is.
func TestLaunchFromADirectory(t *testing.T) {
	ownCache(t)
	dir := t.TempDir()
	b, fake, err := launchImage(t, "1.9.3", dir)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(fake.Lines(), func(l string) bool {
		return strings.Contains(l, "machine create") && strings.Contains(l, "--image "+dir)
	}) {
		t.Errorf("%q", fake.Lines())
	}
	if err := b.Close(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestImageThatCannotBePreparedEndsTheLaunch before anything is created.
func TestImageThatCannotBePreparedEndsTheLaunch(t *testing.T) {
	ownCache(t)
	text := filepath.Join(t.TempDir(), "x.tar")
	if err := os.WriteFile(text, []byte(strings.Repeat("no tar", 200)), 0o600); err != nil {
		t.Fatal(err)
	}
	_, fake, err := launchImage(t, "1.9.3", text)
	var failed *LaunchError
	if !errors.As(err, &failed) || failed.Step != "image" || !errors.Is(err, ErrConfig) || len(fake.Lines()) > 0 {
		t.Errorf("%v; calls %q", err, fake.Lines())
	}
}
