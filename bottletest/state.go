package bottletest

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/gofrs/flock"

	"bottle.internal/internal/owner"
)

// A record is what Sweep needs to remove a bottle whose owner was killed. It is written before anything else is created, and
// removed after everything else is gone. Machines need it: smolvm has labels only from 1.8.0.
type record struct {
	Slug    string    `json:"slug"`
	Owner   owner.ID  `json:"owner"`
	Started time.Time `json:"started"`
	Engine  Engine    `json:"engine"`
	Path    string    `json:"path"`            // the smolvm that knows the machine
	Env     []string  `json:"env"`             // what that smolvm needs to find it again
	World   string    `json:"world,omitempty"` // the directory of the world's socket
	Alias   alias     `json:"alias"`           // the host's address, zero in topology bridge
	// Runtime is what runs the bundle; "" in records of older builds, which knew containers only.
	Runtime BundleRuntime `json:"runtime,omitempty"`
	// Twin says that there is a second guest.
	Twin bool `json:"twin,omitempty"`
	// Peer says that there was a guest beside it, or is.
	Peer bool `json:"peer,omitempty"`
	// Plan is what Attach has to know; nil until it was made.
	Plan *Plan `json:"plan,omitempty"`
	// Pack is what the machine boots from, if it has an image: no prune of the cache removes it.
	Pack string `json:"pack,omitempty"`
}

const (
	slugAlphabet = "abcdefghijklmnopqrstuvwxyz0123456789"
	slugRandom   = 8 // random characters of a slug: 41 bits
	lockPoll     = 10 * time.Millisecond
)

// newSlug is prefix and random characters. smolvm refuses a name whose first character is not alphanumeric or that ends in a
// hyphen, and the alphabet holds neither.
func newSlug(prefix string) string {
	b := make([]byte, slugRandom)
	_, _ = rand.Read(b)
	for i := range b {
		b[i] = slugAlphabet[int(b[i])%len(slugAlphabet)]
	}
	return prefix + "-" + string(b)
}

// stateDir holds a record per bottle, for all processes of this user.
func stateDir() (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("bottletest: %w", err)
	}
	dir := filepath.Join(cache, "bottle", "bottles")
	return dir, os.MkdirAll(dir, 0o700)
}

// withAllocationLock runs do while no other process of this user chooses a subnet.
func withAllocationLock(ctx context.Context, do func() error) error {
	dir, err := stateDir()
	if err != nil {
		return err
	}
	lock := flock.New(filepath.Join(dir, "allocate.lock"))
	if _, err := lock.TryLockContext(ctx, lockPoll); err != nil {
		return fmt.Errorf("waiting for another launch to choose its subnet: %w", err)
	}
	defer func() { _ = lock.Unlock() }()
	return do()
}

// plannedSubnets are those of every bottle that any process of this user has planned and not ended. A record that cannot be read is
// left out: the engine refuses a subnet that is in use.
func plannedSubnets() []netip.Prefix {
	all, _ := records()
	var taken []netip.Prefix
	for _, r := range all {
		if r.Plan != nil && r.Plan.Subnet.IsValid() {
			taken = append(taken, r.Plan.Subnet)
		}
	}
	return taken
}

// labels say whose a machine, a container or a network is.
func (r record) labels() map[string]string {
	return map[string]string{
		"internal.bottle.slug":    r.Slug,
		"internal.bottle.owner":   string(r.Owner),
		"internal.bottle.started": r.Started.Format(time.RFC3339),
	}
}

func (r record) path() (string, error) {
	dir, err := stateDir()
	return filepath.Join(dir, r.Slug+".json"), err
}

func (r record) write() error {
	path, err := r.path()
	if err != nil {
		return err
	}
	b, err := json.Marshal(r)
	if err != nil {
		return err
	}
	tmp := path + ".new"
	if err := os.WriteFile(tmp, b, 0o600); err != nil {
		return err
	}
	return os.Rename(tmp, path)
}

func (r record) remove() error {
	path, err := r.path()
	if err != nil {
		return err
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// records lists every bottle that any process of this user has begun and not ended. A file that cannot be read is an error,
// not a bottle less: it stands for something that may still run.
func records() ([]record, error) {
	dir, err := stateDir()
	if err != nil {
		return nil, err
	}
	files, err := filepath.Glob(filepath.Join(dir, "*.json"))
	if err != nil {
		return nil, err
	}
	var all []record
	var errs []error
	for _, f := range files {
		var r record
		b, err := os.ReadFile(f)
		if errors.Is(err, fs.ErrNotExist) {
			continue // its owner ended it meanwhile
		}
		if err == nil {
			err = json.Unmarshal(b, &r)
		}
		if err == nil && r.Slug != strings.TrimSuffix(filepath.Base(f), ".json") {
			err = fmt.Errorf("names %q", r.Slug)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("reading %q: %w", f, err))
			continue
		}
		all = append(all, r)
	}
	return all, errors.Join(errs...)
}
