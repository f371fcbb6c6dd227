package packs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// An entry is what is written down beside a pack. Its file's time is when the image's name was last known to mean this content.
type entry struct {
	Key
	SHA256 string      `json:"sha256"`
	Print  fingerprint `json:"fingerprint"` // of the pack when its sum was last compared
	Made   time.Time   `json:"made"`
}

// sound reads the entry called id and verifies its pack: by its sum, or, where the file has not changed since that was compared, by
// its fingerprint. ErrNone: there is no such entry, or what there is cannot be trusted; the latter is logged.
func (c *Cache) sound(id string) (entry, error) {
	e, err := c.read(id)
	if errors.Is(err, fs.ErrNotExist) {
		return entry{}, ErrNone
	}
	if err == nil {
		err = c.verify(id, &e)
	}
	if err != nil {
		c.logf("the pack in %q is damaged and of no use: %v", filepath.Join(c.Dir, id), err)
		return entry{}, fmt.Errorf("%w but a %w one: %w", ErrNone, errDamaged, err)
	}
	return e, nil
}

func (c *Cache) read(id string) (entry, error) {
	text, err := os.ReadFile(c.entryFile(id))
	if err != nil {
		return entry{}, err
	}
	var e entry
	if err := json.Unmarshal(text, &e); err != nil {
		return entry{}, fmt.Errorf("reading %q: %w", c.entryFile(id), err)
	}
	if e.id() != id {
		return entry{}, fmt.Errorf("%q is about another pack", c.entryFile(id))
	}
	return e, nil
}

func (c *Cache) verify(id string, e *entry) error {
	path := c.packFile(id)
	now, err := printOf(path)
	if err != nil || now == e.Print {
		return err
	}
	sum, err := sumOf(path)
	if err != nil {
		return err
	}
	if sum != e.SHA256 {
		return fmt.Errorf("its sha256 is %s, not %s", sum, e.SHA256)
	}
	e.Print = now // taken before the sum: what changed meanwhile is compared again next time
	return e.write(c.entryFile(id))
}

// write replaces the file at path in one step. Several processes may do so at once.
func (e entry) write(path string) error {
	text, err := json.MarshalIndent(e, "", "  ")
	if err != nil {
		return err
	}
	return replace(path, append(text, '\n'))
}

func replace(path string, text []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}

// make makes the pack of k, unless somebody else has done so while this process waited; it reports whether it did.
func (c *Cache) make(ctx context.Context, k Key, build func(context.Context, string) (string, error)) (bool, error) {
	id := k.id()
	lock, err := c.lock(ctx, id, false)
	if err != nil {
		return false, err
	}
	defer func() { _ = lock.Close() }()
	if _, err := c.sound(id); !errors.Is(err, ErrNone) {
		return false, err
	}
	if err := c.sweepNew(id); err != nil {
		return false, err
	}
	dir, err := os.MkdirTemp(c.newDir(), id+"-")
	if err != nil {
		return false, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	built, err := build(ctx, dir)
	if err != nil {
		return false, err
	}
	return true, c.publish(k, built)
}

// publish makes the pack at built the entry of k. What else the build left stays behind: `pack create` writes an executable stub
// beside the pack that nobody needs.
func (c *Cache) publish(k Key, built string) error {
	id := k.id()
	dir, err := os.MkdirTemp(c.newDir(), id+"-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	pack := filepath.Join(dir, filepath.Base(c.packFile(id)))
	if err := os.Rename(built, pack); err != nil {
		return fmt.Errorf("the pack that was to be made: %w", err)
	}
	e := entry{Key: k, Made: time.Now().UTC().Truncate(time.Second)}
	if e.Print, err = settle(pack); err != nil {
		return err
	}
	if e.SHA256, err = sumOf(pack); err != nil {
		return err
	}
	if err := e.write(filepath.Join(dir, filepath.Base(c.entryFile(id)))); err != nil {
		return err
	}
	whole := filepath.Join(c.Dir, id)
	if err := os.RemoveAll(whole); err != nil { // a damaged one; the lock says that nobody has it in use
		return err
	}
	return os.Rename(dir, whole)
}

// settle brings the pack to the disk before an entry says that it is whole: a rename may outlive a crash that the data does not.
func settle(pack string) (fingerprint, error) {
	f, err := os.Open(pack)
	if err != nil {
		return fingerprint{}, err
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return fingerprint{}, err
	}
	return printOf(pack)
}

// sweepNew removes what killed builds of the entry called id left. The caller holds its lock exclusively.
func (c *Cache) sweepNew(id string) error {
	left, err := filepath.Glob(filepath.Join(c.newDir(), id+"-*"))
	for _, dir := range left {
		err = errors.Join(err, os.RemoveAll(dir))
	}
	return err
}
