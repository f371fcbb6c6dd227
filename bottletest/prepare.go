package bottletest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"bottle.internal/bottletest/internal/images"
	"bottle.internal/bottletest/internal/packs"
)

// PrepareOptions say for which smolvm an image is prepared, and what may be asked for it. The zero PrepareOptions prepare for the engine
// of the zero Config.
type PrepareOptions struct {
	// Engine, Smolvm and Sim are as in Config.
	Engine Engine
	Smolvm string
	Sim    SimConfig
	// Offline asks no registry: a reference means the newest pack that the cache has of it.
	Offline bool
	// CacheLimitMiB is the size that the cache of packs is cut down to after a pack was made; 0 is 20 GiB, less than 0 no limit.
	CacheLimitMiB int
	// Logf receives a line per step; nil is silent.
	Logf func(format string, args ...any)
}

// A Road is how smolvm gets at an image.
type Road string

// The roads there are.
const (
	// RoadPack: the image was named by a pack.
	RoadPack Road = "pack"
	// RoadRegistry: smolvm pulls the image from its registry, once, and packs it.
	RoadRegistry Road = "registry"
	// RoadLoopback: smolvm pulls the image from a registry that this process runs on the host's loopback, once, and packs it.
	RoadLoopback Road = "loopback registry"
	// RoadDirect: nothing is packed, every machine takes the archive or the directory apart at its first start. smolvm 1.1.0 or later.
	RoadDirect Road = "direct"
)

// Prepared is an image that machines can be launched from. Its zero value is a guest without one.
type Prepared struct {
	// Image is what was prepared, as it was named.
	Image string `json:"image"`
	// Boot is the path that machines boot from, for Config.Image: a pack, except on RoadDirect.
	Boot string `json:"boot"`
	Road Road   `json:"road"`
	// Digest is the image's content, such as "sha256:…": of a manifest for a registry's, of the file for an archive or a pack. "" for a
	// directory, which is not read.
	Digest string `json:"digest,omitempty"`
	// SHA256 is the pack's sum in hex; "" on RoadDirect.
	SHA256 string `json:"sha256,omitempty"`
	// Smolvm is the release that the pack is for.
	Smolvm string `json:"smolvm"`
	// Made says that this call made the pack; otherwise it was there.
	Made bool `json:"made"`
	// Why says what stood in the way of a pack; "" if there is one, or none can be made of a directory.
	Why string `json:"why,omitempty"`
	// Damage says what was wrong with the pack that the cache had before, and that was made anew; "" if nothing was.
	Damage string `json:"damage,omitempty"`

	hold *packs.Pack
}

// ErrNotPrepared says that PrepareOptions.Offline was set and the cache has no pack of the image.
var ErrNotPrepared = errors.New("bottletest: the image is not prepared, and may not be fetched offline")

// Close lets the pack go: as long as a Prepared is not closed, and its process lives, no prune removes its pack. A Bottle holds its own
// by itself. It may be called again.
func (p Prepared) Close() error { return p.hold.Release() }

// Prepare has image ready to launch machines from: it makes the pack that smolvm boots, unless the cache of packs has it. image is a
// registry reference, or the path of a .smolmachine, of an image archive or of a root filesystem's directory, as in Config.Image; "" is a
// guest without an image, for which there is nothing to do. The caller closes what it gets.
//
// The cache lies below os.UserCacheDir, in bottle/packs. A pack is found again by the image's reference and content, the guest's
// architecture and the release of smolvm; a simulated release is another one than the real. Its sum is compared before it is used, unless
// the file has not changed since; a damaged one is made anew and that is said. Several processes make one pack once.
//
// No release of smolvm up to 1.9.3 packs anything but a registry's image, so an archive goes through a registry of this process on the
// host's loopback: one pull, and every launch starts from a pack with its layers ready. Where smolvm cannot pull from it, releases
// from 1.1.0 on boot the archive itself, and Road and Why say so; older ones cannot, and the error says what can be done.
//
// Errors wrap ErrConfig (image names nothing that can be booted), ErrUnavailable (no engine) or ErrNotPrepared.
func Prepare(ctx context.Context, image string, opts PrepareOptions) (Prepared, error) {
	cfg := Config{Engine: opts.Engine, Smolvm: opts.Smolvm, Sim: opts.Sim, Image: image, Offline: opts.Offline, Logf: opts.Logf}
	if err := cfg.check(); err != nil {
		return Prepared{}, err
	}
	if image == "" {
		return Prepared{}, nil
	}
	engine, err := findEngine(ctx, cfg)
	if err != nil {
		return Prepared{}, err
	}
	cache, err := newPackCache(cfg.Logf)
	if err != nil {
		return Prepared{}, err
	}
	cache.Limit = int64(opts.CacheLimitMiB) << 20
	return prepareImage(ctx, cfg, engine, cache)
}

// prepareImage is Prepare for an engine that was found.
func prepareImage(ctx context.Context, cfg Config, engine *guestEngine, cache *packs.Cache) (Prepared, error) {
	source, err := images.Parse(cfg.Image)
	if err != nil {
		return Prepared{}, fmt.Errorf("%w: %w", ErrConfig, err)
	}
	p := &preparation{source: source, offline: cfg.Offline, engine: engine, cache: cache}
	p.done = Prepared{Image: cfg.Image, Smolvm: engine.version.String()}
	if err := p.run(ctx); err != nil {
		return Prepared{}, fmt.Errorf("image %q: %w", cfg.Image, err)
	}
	return p.done, nil
}

// newPackCache is the cache of this user's packs. What a bottle's record names is in use: a machine that was kept, or whose owner was
// killed, reads its pack again when it starts again.
func newPackCache(logf func(string, ...any)) (*packs.Cache, error) {
	dir, err := os.UserCacheDir()
	if err != nil {
		return nil, fmt.Errorf("bottletest: %w", err)
	}
	return &packs.Cache{Dir: filepath.Join(dir, "bottle", "packs"), Keep: recordedPacks, Logf: logf}, nil
}

func recordedPacks() ([]string, error) {
	all, err := records()
	if err != nil {
		return nil, err
	}
	var paths []string
	for _, r := range all {
		if r.Pack != "" {
			paths = append(paths, r.Pack)
		}
	}
	return paths, nil
}
