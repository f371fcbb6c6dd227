package packs

import (
	"cmp"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/gofrs/flock"
)

// A resident is an entry as a prune sees it.
type resident struct {
	id   string
	size int64
	used time.Time
}

// Prune removes what killed builds left and then the packs that were not used for longest, until what stays is within the limit. It
// removes none that is in use. It returns the paths of the packs it removed; what it cannot remove it logs, and goes on: a cache that is
// too large is no reason to fail.
func (c *Cache) Prune() (removed []string) {
	kept, err := c.kept()
	if err != nil {
		c.logf("pruning the cache of packs: it is not known what is in use: %v", err)
		return nil
	}
	c.sweepAllNew()
	all, total := c.residents()
	for _, r := range all {
		limit := cmp.Or(c.Limit, DefaultLimit)
		if limit < 0 || total <= limit {
			break
		}
		path := c.packFile(r.id)
		if slices.Contains(kept, path) || !c.alone(r.id, func() error { return c.evict(r.id) }) {
			continue
		}
		c.logf("pruned %q, %d MiB, last used %s", path, r.size>>20, r.used.Format(time.DateTime))
		total -= r.size
		removed = append(removed, path)
	}
	return removed
}

func (c *Cache) kept() ([]string, error) {
	if c.Keep == nil {
		return nil, nil
	}
	return c.Keep()
}

// residents are the entries, the one that was not used for longest first, and the size of all.
func (c *Cache) residents() (all []resident, total int64) {
	ids, err := c.ids()
	if err != nil {
		c.logf("pruning the cache of packs: %v", err)
	}
	for _, id := range ids {
		r := resident{id: id}
		if pack, err := os.Stat(c.packFile(id)); err == nil {
			r.size = pack.Size()
		}
		if lock, err := os.Stat(c.lockFile(id)); err == nil {
			r.used = lock.ModTime()
		}
		all, total = append(all, r), total+r.size
	}
	slices.SortFunc(all, func(a, b resident) int { return cmp.Or(a.used.Compare(b.used), cmp.Compare(a.id, b.id)) })
	return all, total
}

// alone does what nobody who has the entry in use or makes it must see. It reports false where somebody has, or it failed.
func (c *Cache) alone(id string, do func() error) bool {
	lock := flock.New(c.lockFile(id), flock.SetPermissions(0o600))
	ok, err := lock.TryLock()
	if ok {
		err = do()
	}
	_ = lock.Close()
	if err != nil {
		c.logf("pruning the cache of packs: %v", err)
	}
	return ok && err == nil
}

// evict moves the entry aside before it is taken apart, so that nobody finds half of it if this process is killed.
func (c *Cache) evict(id string) error {
	aside, err := os.MkdirTemp(c.newDir(), id+"-")
	if err != nil {
		return err
	}
	if err := os.Rename(filepath.Join(c.Dir, id), filepath.Join(aside, id)); err != nil {
		return err
	}
	return os.RemoveAll(aside)
}

// sweepAllNew removes what killed builds of any entry left.
func (c *Cache) sweepAllNew() {
	left, _ := filepath.Glob(filepath.Join(c.newDir(), "*-*"))
	for _, dir := range left {
		if id, _, _ := strings.Cut(filepath.Base(dir), "-"); len(id) == idLength {
			c.alone(id, func() error { return os.RemoveAll(dir) })
		}
	}
}
