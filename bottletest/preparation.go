package bottletest

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"runtime"

	"bottle.internal/bottletest/internal/images"
	"bottle.internal/bottletest/internal/packs"
	"bottle.internal/smolvm"
)

// A preparation is one image on its way to a pack.
type preparation struct {
	source  images.Source
	offline bool
	engine  *guestEngine
	cache   *packs.Cache
	done    Prepared
}

// guestArch is what guests run on: smolvm emulates no other machine than the host's.
const guestArch = runtime.GOARCH

func (p *preparation) run(ctx context.Context) error {
	switch p.source.Kind {
	case images.Pack:
		return p.givenPack(ctx)
	case images.Registry:
		return p.registryImage(ctx)
	case images.Archive:
		return p.archive(ctx)
	case images.Directory:
		return p.directory()
	}
	return nil
}

// givenPack is a pack that the caller names. One that lies in the cache is held there.
func (p *preparation) givenPack(ctx context.Context) (err error) {
	p.done.Boot, p.done.Road = p.source.Path, RoadPack
	if p.done.hold, err = p.cache.Hold(ctx, p.source.Path); err != nil {
		return err
	}
	if p.done.hold != nil {
		p.done.Digest, p.done.SHA256 = p.done.hold.Digest, p.done.hold.SHA256
		return nil
	}
	p.done.Digest, err = p.cache.FileDigest(p.source.Path)
	if err == nil {
		p.done.SHA256 = p.done.Digest[len("sha256:"):]
	}
	return err
}

func (p *preparation) key(reference, digest string) packs.Key {
	return packs.Key{Reference: reference, Digest: digest, Arch: guestArch, Smolvm: p.engine.version.String()}
}

// registryImage packs what the reference means now. The reference that smolvm gets names the content, so that a tag that moves
// meanwhile cannot put one content under the digest of another.
func (p *preparation) registryImage(ctx context.Context) error {
	p.done.Road = RoadRegistry
	key := p.key(p.source.Reference.Name(), "")
	if p.offline {
		pack, err := p.cache.Newest(ctx, key)
		if errors.Is(err, packs.ErrNone) {
			return fmt.Errorf("%w: %w", ErrNotPrepared, err)
		}
		return p.take(pack, err)
	}
	fixed, err := images.Resolve(ctx, p.source.Reference)
	if err != nil {
		return fmt.Errorf("%w (offline, the newest pack of it is taken)", err)
	}
	key.Digest = fixed.DigestStr()
	pack, err := p.cache.Use(ctx, key, func(ctx context.Context, dir string) (string, error) {
		return p.pack(ctx, fixed.Name(), dir)
	})
	return p.take(pack, err)
}

// archive packs an image archive by way of a registry on the loopback. Its content is all there is to its name: the same archive at
// another path is the same image.
func (p *preparation) archive(ctx context.Context) error {
	digest, err := p.cache.FileDigest(p.source.Path)
	if err != nil {
		return err
	}
	p.done.Road = RoadLoopback
	pack, err := p.cache.Use(ctx, p.key("", digest), p.packArchive)
	var refused *unpacked
	if errors.As(err, &refused) && ctx.Err() == nil {
		p.done.Digest = digest
		return p.direct(refused)
	}
	return p.take(pack, err)
}

func (p *preparation) packArchive(ctx context.Context, dir string) (_ string, err error) {
	img, err := images.Open(p.source.Path, dir, guestArch)
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrConfig, err)
	}
	server, err := images.Serve(img)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, server.Close()) }()
	pack, err := p.pack(ctx, server.Reference.Name(), dir)
	if err != nil {
		return "", &unpacked{err}
	}
	return pack, nil
}

// unpacked says that smolvm made no pack of what was served to it.
type unpacked struct{ err error }

func (u *unpacked) Error() string {
	return "smolvm cannot pack it from a registry on localhost: " + u.err.Error()
}

func (u *unpacked) Unwrap() error { return u.err }

// pack has smolvm pull reference and pack it below dir.
func (p *preparation) pack(ctx context.Context, reference, dir string) (string, error) {
	p.logf("packing %s for smolvm %s", reference, p.engine.version)
	return p.engine.client.PackCreate(ctx, smolvm.PackOptions{
		Image: reference, Output: filepath.Join(dir, "image"), Platform: "linux/" + guestArch,
	})
}

func (p *preparation) take(pack *packs.Pack, err error) error {
	if err != nil {
		return err
	}
	p.done.hold, p.done.Boot, p.done.Digest = pack, pack.Path, pack.Digest
	p.done.SHA256, p.done.Made, p.done.Damage = pack.SHA256, pack.Made, pack.Damage
	return nil
}

// bootsLocal reports whether the release boots an archive or a directory by itself (smolvm v1.1.0, #409).
func (p *preparation) bootsLocal() bool { return p.engine.version.AtLeast(1, 1, 0) }

// elsewhere is what is left to those whose smolvm does neither.
const elsewhere = "push the image to a registry and name it there, name a .smolmachine made elsewhere, or take smolvm 1.1.0 or later"

// direct is the road without a pack, for an archive.
func (p *preparation) direct(why *unpacked) error {
	if !p.bootsLocal() {
		return fmt.Errorf("%w; and smolvm %s boots no archive by itself: %s", why, p.engine.version, elsewhere)
	}
	p.logf("%v; every machine takes the archive apart by itself instead", why)
	p.done.Boot, p.done.Road, p.done.Why = p.source.Path, RoadDirect, why.Error()
	return nil
}

func (p *preparation) directory() error {
	if !p.bootsLocal() {
		return fmt.Errorf("%w: smolvm %s boots no directory: %s", ErrConfig, p.engine.version, elsewhere)
	}
	p.done.Boot, p.done.Road = p.source.Path, RoadDirect
	return nil
}

func (p *preparation) logf(format string, args ...any) {
	if p.cache.Logf != nil {
		p.cache.Logf(format, args...)
	}
}
