package packs

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// filled is a cache of n packs of 10 bytes each, the first one used longest ago.
func filled(t *testing.T, n int) (*Cache, []Key) {
	t.Helper()
	c := &Cache{Dir: t.TempDir(), Limit: -1}
	keys := make([]Key, n)
	for i := range keys {
		keys[i] = alpine
		keys[i].Digest = fmt.Sprint(i)
		must(t, use(t, c, keys[i], writes("0123456789")).Release())
		at := time.Unix(int64(1000+i), 0)
		must(t, os.Chtimes(c.lockFile(keys[i].id()), at, at))
	}
	return c, keys
}

func (c *Cache) paths(keys ...Key) []string {
	var paths []string
	for _, k := range keys {
		paths = append(paths, c.packFile(k.id()))
	}
	return paths
}

func TestPrune(t *testing.T) {
	for name, tc := range map[string]struct {
		limit   int64
		held    []int // in use
		kept    []int // of machines
		removed []int
	}{
		"no limit":     {limit: -1},
		"the default":  {},
		"large enough": {limit: 30},
		"one too many": {limit: 29, removed: []int{0}},
		"half of one":  {limit: 5, removed: []int{0, 1, 2}},
		"one in use":   {limit: 15, held: []int{0}, removed: []int{1, 2}},
		"one kept":     {limit: 25, kept: []int{0}, removed: []int{1}},
		"all in use":   {limit: 1, held: []int{0, 1, 2}},
	} {
		t.Run(name, func(t *testing.T) {
			c, keys := filled(t, 3)
			c.Limit = tc.limit
			pick := func(at []int) (paths []string) {
				for _, i := range at {
					paths = append(paths, c.paths(keys[i])...)
				}
				return paths
			}
			c.Keep = func() ([]string, error) { return pick(tc.kept), nil }
			for _, path := range pick(tc.held) {
				p, err := c.Hold(t.Context(), path)
				must(t, err)
				t.Cleanup(func() { _ = p.Release() })
			}
			if diff := cmp.Diff(pick(tc.removed), c.Prune()); diff != "" {
				t.Errorf("removed %s", diff)
			}
			for i, path := range c.paths(keys...) {
				_, err := os.Stat(path)
				if gone := errors.Is(err, os.ErrNotExist); gone != slices.Contains(tc.removed, i) {
					t.Errorf("pack %d is gone: %t", i, gone)
				}
			}
		})
	}
}

// TestUseIsWhatCounts: the pack made first is not the first to go if it was used last.
func TestUseIsWhatCounts(t *testing.T) {
	c, keys := filled(t, 3)
	must(t, use(t, c, keys[0], never(t)).Release())
	c.Limit = 20
	if diff := cmp.Diff(c.paths(keys[1]), c.Prune()); diff != "" {
		t.Error(diff)
	}
}

// TestPruneKnowsNotWhatIsInUse: then everything might be.
func TestPruneKnowsNotWhatIsInUse(t *testing.T) {
	c, _ := filled(t, 2)
	c.Limit, c.Keep = 1, func() ([]string, error) { return nil, errors.New("unreadable") }
	if removed := c.Prune(); len(removed) > 0 {
		t.Errorf("removed %q", removed)
	}
}

// TestMakingPrunes: and never takes what was just made, however small the limit.
func TestMakingPrunes(t *testing.T) {
	c, keys := filled(t, 2)
	c.Limit = 1
	p := use(t, c, alpine, writes("0123456789"))
	wantContent(t, p, "0123456789")
	for _, path := range c.paths(keys...) {
		if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%q is still there: %v", path, err)
		}
	}
}
