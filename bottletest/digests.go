package bottletest

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"strings"

	"bottle.internal/bundle"
	"bottle.internal/internal/gobuild"
)

// Digests are the sums, in hex, of what a launch with cfg runs, by name: "engine" (the program that is called, which may be no more than
// smolvm's front), "agent", "bundle" (its image, or where the bundle is a machine its program) and "guest image" (not of a bare guest, which
// has none). It makes ready what is missing and launches nothing.
func Digests(ctx context.Context, cfg Config) (map[string]string, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	all := make(map[string]string)
	engine, err := enginePath(ctx, cfg, cfg.engine())
	if err != nil {
		return nil, err
	}
	if all["engine"], err = fileSum(engine); err != nil {
		return nil, err
	}
	agent := cfg.Agent
	if agent == "" {
		if agent, err = gobuild.Binary(ctx, gobuild.Target{Command: "bottle-agent", GOOS: "linux"}); err != nil {
			return nil, err
		}
	}
	if all["agent"], err = fileSum(agent); err != nil {
		return nil, err
	}
	if all["bundle"], err = bundleSum(ctx, cfg); err != nil {
		return nil, err
	}
	if cfg.Image == "" {
		return all, nil
	}
	image, err := Prepare(ctx, cfg.Image, PrepareOptions{Engine: cfg.Engine, Smolvm: cfg.Smolvm, Sim: cfg.Sim, Offline: cfg.Offline, Logf: cfg.Logf})
	if err != nil {
		return nil, err
	}
	all["guest image"] = strings.TrimPrefix(cmp.Or(image.Digest, image.SHA256), "sha256:")
	if all["guest image"] == "" {
		err = fmt.Errorf("bottletest: %q has no digest: a directory is not read", cfg.Image)
	}
	return all, errors.Join(err, image.Close())
}

// bundleSum is the sum of what runs the daemons.
func bundleSum(ctx context.Context, cfg Config) (string, error) {
	if cfg.runtime() != Machine {
		engine, err := bundle.Detect(ctx)
		switch {
		case err == nil:
			return imageSum(ctx, engine, cfg.BundleImage)
		case !cfg.mayBeMachine():
			return "", fmt.Errorf("%w: %w", ErrUnavailable, err)
		}
	}
	program, err := gobuild.Binary(ctx, gobuild.Target{Command: "bottle-bundle", GOOS: "linux"})
	if err != nil {
		return "", err
	}
	return fileSum(program)
}

func imageSum(ctx context.Context, engine bundle.Engine, ref string) (string, error) {
	if ref == "" {
		var err error
		if ref, err = bundle.Image(ctx, engine); err != nil {
			return "", err
		}
	}
	id, err := bundle.ImageID(ctx, engine, ref)
	return strings.TrimPrefix(id, "sha256:"), err
}

func fileSum(path string) (string, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:]), nil
}
