package packs

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"
)

// Newest returns the sound pack of the image that k names, whatever its content: the one that k.Reference was last known to mean.
// It asks nobody. ErrNone, with why, if there is none.
func (c *Cache) Newest(ctx context.Context, k Key) (*Pack, error) {
	if err := c.prepare(); err != nil {
		return nil, err
	}
	known, err := c.called(k)
	if err != nil {
		return nil, err
	}
	var damaged error
	for _, id := range known {
		p, err := c.find(ctx, id)
		if err == nil {
			return p, nil
		}
		if !errors.Is(err, ErrNone) {
			return nil, err
		}
		damaged = err
	}
	if damaged != nil {
		return nil, fmt.Errorf("%s for smolvm %s on %s: %w", k.title(), k.Smolvm, k.Arch, damaged)
	}
	return nil, fmt.Errorf("%s for smolvm %s on %s: %w", k.title(), k.Smolvm, k.Arch, ErrNone)
}

// called lists the entries of the image that k names, the latest first. One that cannot be read is none: its name is not known.
func (c *Cache) called(k Key) ([]string, error) {
	ids, err := c.ids()
	if err != nil {
		return nil, err
	}
	type named struct {
		id string
		at time.Time
	}
	var found []named
	for _, id := range ids {
		e, err := c.read(id)
		if err != nil || !e.sameName(k) {
			continue
		}
		info, err := os.Stat(c.entryFile(id))
		if err != nil {
			continue // it was removed meanwhile
		}
		found = append(found, named{id, info.ModTime()})
	}
	slices.SortFunc(found, func(a, b named) int { return cmp.Or(b.at.Compare(a.at), cmp.Compare(a.id, b.id)) })
	known := make([]string, len(found))
	for i, f := range found {
		known[i] = f.id
	}
	return known, nil
}
