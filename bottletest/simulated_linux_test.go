package bottletest

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"bottle.internal/internal/hostimage"
)

// withProgram is an image with a program that is nowhere else.
func withProgram(t *testing.T) v1.Image {
	t.Helper()
	return must(hostimage.New(t.Context(), map[string]string{"only-here": "#!/bin/sh\necho from the image\n"}))(t)
}

// simulated is a bottle without a container engine, of the simulator of that release. Its state is below a directory of its own, which is
// another machine's as far as smolvm can tell.
func simulated(t *testing.T, release, image string) Config {
	t.Helper()
	cfg := Config{Name: "image", Engine: Simulator, Sim: SimConfig{Version: release}, BundleRuntime: Machine, Image: image, Logf: t.Logf, Artifacts: t.TempDir()}
	Require(t, cfg)
	return cfg
}

// runOnlyHere launches, runs what is in the image only, and returns the plan and every command line that was run.
func runOnlyHere(t *testing.T, cfg Config) (Plan, string) {
	t.Helper()
	b, err := Run(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := b.Close(context.Background()); err != nil {
			t.Error(err)
		}
	}()
	res, err := b.Exec(t.Context(), "only-here")
	if err != nil || string(res.Stdout) != "from the image\n" {
		t.Errorf("a program of the image's: %+v, %v", res, err)
	}
	return b.Plan(), string(b.journal.bytes())
}

// TestLaunchFromAPreparedImage goes from a registry to a bottle that passed its gate, on a release that drops the policy of such a machine
// unless it is made through the API, and on one that holds it. v0.8.0's API does not tell the CIDRs of its record, so there too the policy
// is known from what was asked for.
func TestLaunchFromAPreparedImage(t *testing.T) {
	img := withProgram(t)
	for release, byAPI := range map[string]bool{"0.8.0": true, "1.9.3": false} {
		t.Run(release, func(t *testing.T) {
			cfg := simulated(t, release, "")
			ref, server := published(t, img)
			opts := PrepareOptions{Engine: Simulator, Sim: cfg.Sim, Logf: t.Logf}
			p := must(Prepare(t.Context(), ref, opts))(t)
			t.Cleanup(func() { _ = errors.Join(p.Close(), os.RemoveAll(filepath.Dir(p.Boot))) }) // no other run has a registry at that port
			server.Close()
			cfg.Image, cfg.Offline = ref, true
			plan, ran := runOnlyHere(t, cfg)
			if !strings.Contains(plan.Policy, "known by probe") || plan.ImageDigest != p.Digest {
				t.Errorf("%s\npolicy %q", plan, plan.Policy)
			}
			if strings.Contains(ran, " serve start ") != byAPI || strings.Contains(ran, " --from "+p.Boot) == byAPI {
				t.Errorf("made through the API: want %t\n%s", byAPI, ran)
			}
		})
	}
}

// TestPackGoesElsewhere takes a pack made from an archive to where nothing is known of it: another cache and another state of smolvm's.
func TestPackGoesElsewhere(t *testing.T) {
	cfg := simulated(t, "1.9.3", "")
	path := archived(t, withProgram(t))
	opts := PrepareOptions{Engine: Simulator, Sim: cfg.Sim, Logf: t.Logf}
	here := must(Prepare(t.Context(), path, opts))(t)
	defer func() { _ = here.Close() }()
	elsewhere := filepath.Join(t.TempDir(), "carried.smolmachine")
	if err := os.WriteFile(elsewhere, must(os.ReadFile(here.Boot))(t), 0o600); err != nil {
		t.Fatal(err)
	}
	home := t.TempDir()
	for _, name := range []string{"GOCACHE", "GOMODCACHE"} { // what builds the simulator there
		t.Setenv(name, strings.TrimSpace(string(must(exec.Command("go", "env", name).Output())(t))))
	}
	for name, dir := range map[string]string{"HOME": home, "XDG_DATA_HOME": filepath.Join(home, "data"), "XDG_CONFIG_HOME": filepath.Join(home, "config")} {
		t.Setenv(name, dir)
	}
	cfg.Image = elsewhere
	if plan, _ := runOnlyHere(t, cfg); plan.ImageDigest != "sha256:"+here.SHA256 {
		t.Errorf("%s is launched, %s was made", plan.ImageDigest, here.SHA256)
	}
	again := must(Prepare(t.Context(), path, opts))(t)
	defer func() { _ = again.Close() }()
	if again.SHA256 != here.SHA256 {
		t.Errorf("the same image made there is another pack: %s, %s", again.SHA256, here.SHA256)
	}
}
