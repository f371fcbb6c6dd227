package packs

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/gofrs/flock"
)

// A Cache is a directory of packs. Its methods may be called from several goroutines and processes at once; its fields must not
// change meanwhile.
type Cache struct {
	// Dir holds everything. It is made when it is first needed.
	Dir string
	// Limit is the size in bytes that Prune cuts the packs down to; 0 is DefaultLimit, a negative one is no limit.
	Limit int64
	// Keep returns paths of packs that are in use although nobody holds them, such as those of machines that outlive their maker;
	// nil keeps none. A prune whose Keep fails removes nothing.
	Keep func() ([]string, error)
	// Logf is told in one line what was found damaged, waited for and removed; nil is silent.
	Logf func(format string, args ...any)
}

// DefaultLimit is the Limit of a Cache that has none: some eighty packs of a common image.
const DefaultLimit = 20 << 30

// ErrNone says that the cache has no pack of what was asked for.
var ErrNone = errors.New("no pack is in the cache")

// errDamaged says that there is one, and that it cannot be trusted.
var errDamaged = errors.New("damaged")

// A Key is what a pack depends on. Two packs whose keys differ in anything are never taken for one another.
type Key struct {
	// Reference is the image as it was named; "" for what has no name but its content.
	Reference string `json:"reference"`
	// Digest is the image's content, such as "sha256:…".
	Digest string `json:"digest"`
	// Arch is the guest's, in Go's spelling.
	Arch string `json:"arch"`
	// Smolvm is the release that made the pack; a simulated one has another spelling than the real one.
	Smolvm string `json:"smolvm"`
}

// id is the name of the key's entry. The fields are quoted, so that no two keys spell the same text.
func (k Key) id() string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%q %q %q %q", k.Reference, k.Digest, k.Arch, k.Smolvm))
	return hex.EncodeToString(sum[:idLength/2])
}

// sameName reports whether k and other are of the same image, whatever its content was at the time.
func (k Key) sameName(other Key) bool {
	k.Digest, other.Digest = "", ""
	return k == other
}

const (
	lockPoll  = 10 * time.Millisecond
	makeTries = 3
	idLength  = 32 // of hex
)

// A Pack is a pack in use: no prune removes it before Release.
type Pack struct {
	Key
	// Path is the file. It stays where it is as long as the pack is in use.
	Path string
	// SHA256 is the file's sum, in hex.
	SHA256 string
	// Made says that this call made the pack.
	Made bool
	// Damage says what was wrong with the pack that was there before; "" if there was none, or a sound one.
	Damage string

	lock *flock.Flock
}

// Release ends the use. It may be called again, and on nil.
func (p *Pack) Release() error {
	if p == nil || p.lock == nil {
		return nil
	}
	return p.lock.Close()
}

// Use returns the pack of k, made by build if the cache has none that is sound. build gets an empty directory, and returns the path
// of the pack that it wrote in it; it runs in one process at a time, the others wait for it and take its result. After a build the
// cache is pruned.
func (c *Cache) Use(ctx context.Context, k Key, build func(ctx context.Context, dir string) (string, error)) (*Pack, error) {
	if err := c.prepare(); err != nil {
		return nil, err
	}
	made, damage := false, ""
	for range makeTries {
		p, err := c.find(ctx, k.id())
		if err == nil {
			p.Made, p.Damage = made, damage
			c.touch(c.entryFile(k.id()))
			if made {
				c.Prune()
			}
			return p, nil
		}
		if !errors.Is(err, ErrNone) {
			return nil, err
		}
		if errors.Is(err, errDamaged) {
			damage = err.Error()
		}
		built, err := c.make(ctx, k, build)
		if err != nil {
			return nil, err
		}
		made = made || built
	}
	return nil, fmt.Errorf("the pack of %s was removed as often as it was made: the limit of the cache %q is too small", k.title(), c.Dir)
}

// title is k as a message names it.
func (k Key) title() string { return fmt.Sprintf("%q", cmp.Or(k.Reference, k.Digest)) }

// find returns the sound pack of the entry called id, in use. ErrNone: there is none, or it is damaged.
func (c *Cache) find(ctx context.Context, id string) (*Pack, error) {
	lock, err := c.lock(ctx, id, true)
	if err != nil {
		return nil, err
	}
	e, err := c.sound(id)
	if err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	c.touch(lock.Path())
	return &Pack{Key: e.Key, Path: c.packFile(id), SHA256: e.SHA256, lock: lock}, nil
}

// lock takes the lock of the entry called id, shared or not. It says so when it has to wait: for a build, or for those who have the pack
// in use.
func (c *Cache) lock(ctx context.Context, id string, shared bool) (*flock.Flock, error) {
	lock := flock.New(c.lockFile(id), flock.SetPermissions(0o600))
	try, wait := lock.TryLock, lock.TryLockContext
	if shared {
		try, wait = lock.TryRLock, lock.TryRLockContext
	}
	ok, err := try()
	if err == nil && !ok {
		c.logf("waiting for another process that has the pack %s", id)
		if _, err = wait(ctx, lockPoll); err != nil {
			err = fmt.Errorf("waiting for another process that has the pack %s: %w", id, err)
		}
	}
	if err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	return lock, nil
}

// Hold marks the pack at path as in use, if it is one of this cache; a path elsewhere is the caller's own affair and gives nil.
func (c *Cache) Hold(ctx context.Context, path string) (*Pack, error) {
	id := filepath.Base(filepath.Dir(path))
	if path != c.packFile(id) {
		return nil, nil
	}
	if err := c.prepare(); err != nil {
		return nil, err
	}
	p, err := c.find(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("the pack %q: %w", path, err)
	}
	return p, nil
}

func (c *Cache) prepare() error {
	for _, dir := range []string{c.lockDir(), c.newDir(), c.sumDir()} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return fmt.Errorf("the cache of packs: %w", err)
		}
	}
	return nil
}

// The names of the cache's own directories hold a character that no id has.
func (c *Cache) lockDir() string { return filepath.Join(c.Dir, "_locks") }
func (c *Cache) newDir() string  { return filepath.Join(c.Dir, "_new") }
func (c *Cache) sumDir() string  { return filepath.Join(c.Dir, "_sums") }

func (c *Cache) lockFile(id string) string  { return filepath.Join(c.lockDir(), id) }
func (c *Cache) entryFile(id string) string { return filepath.Join(c.Dir, id, "entry.json") }
func (c *Cache) packFile(id string) string  { return filepath.Join(c.Dir, id, "image.smolmachine") }

// ids lists the entries, in no order that means anything.
func (c *Cache) ids() ([]string, error) {
	files, err := os.ReadDir(c.Dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	var ids []string
	for _, f := range files {
		if f.IsDir() && !strings.HasPrefix(f.Name(), "_") {
			ids = append(ids, f.Name())
		}
	}
	return ids, err
}

// touch notes that path is used now. A failure makes an entry look older than it is, nothing worse.
func (c *Cache) touch(path string) {
	now := time.Now()
	if err := os.Chtimes(path, now, now); err != nil {
		c.logf("the cache of packs: %v", err)
	}
}

func (c *Cache) logf(format string, args ...any) {
	if c.Logf != nil {
		c.Logf(format, args...)
	}
}
