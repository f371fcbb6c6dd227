//go:build linux

package sim

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/gofrs/flock"
)

// A layerStore holds unpacked layers, each once, named by the digest of its tar. Machines share them as the read-only directories
// of an overlay. Safe for use by several processes.
type layerStore struct{ dir string }

func (s *session) layers() layerStore { return layerStore{s.dirs.layers} }

// ownership is whose files a layer's are once unpacked; it is part of a layer's name.
type ownership string

const (
	ownerKept     ownership = "kept"     // the layer's ids, shifted into the guest's range
	ownerSquashed ownership = "squashed" // guest root's, as packs were extracted before 1.8.1 (#938)
	ownerSingle   ownership = "single"   // this user's, who has one id to give
)

// ownershipOf is what this process can give the layers of a machine.
func ownershipOf(squash bool) ownership {
	switch {
	case !privileged():
		return ownerSingle
	case squash:
		return ownerSquashed
	}
	return ownerKept
}

// path is where the layer of a digest ("sha256:…") is unpacked.
func (st layerStore) path(digest string, own ownership) string {
	return filepath.Join(st.dir, strings.TrimPrefix(digest, "sha256:")+"."+string(own))
}

// shared runs do while no layer is pruned; what do unpacks it must have recorded before it returns.
func (st layerStore) shared(do func() error) error {
	return st.locked((*flock.Flock).RLock, do)
}

func (st layerStore) locked(take func(*flock.Flock) error, do func() error) error {
	if err := os.MkdirAll(st.dir, 0o700); err != nil {
		return err
	}
	lock := flock.New(filepath.Join(st.dir, ".lock"))
	if err := take(lock); err != nil {
		return err
	}
	defer func() { _ = lock.Unlock() }()
	return do()
}

// ensure unpacks a layer unless it is there. open gives its tar, whose digest is checked while it is read. Of several
// processes one unpacks and the others wait.
func (st layerStore) ensure(digest string, own ownership, open func() (io.ReadCloser, error)) error {
	if err := checkDigest(digest); err != nil {
		return err
	}
	path := st.path(digest, own)
	if _, err := os.Lstat(path); err == nil {
		return nil
	}
	if err := os.MkdirAll(st.dir, 0o700); err != nil {
		return err
	}
	// Sixteen locks that stay: one that is removed under its waiters is two.
	lock := flock.New(filepath.Join(st.dir, ".unpack-"+filepath.Base(path)[:1]))
	if err := lock.Lock(); err != nil {
		return err
	}
	defer func() { _ = lock.Unlock() }()
	if _, err := os.Lstat(path); err == nil {
		return nil
	}
	building := path + ".new"
	if err := removeTree(building); err != nil { // of a process that was killed
		return err
	}
	if err := unpackVerified(building, digest, own, open); err != nil {
		_ = removeTree(building)
		return fmt.Errorf("layer %s: %w", digest, err)
	}
	return os.Rename(building, path)
}

func unpackVerified(dir, digest string, own ownership, open func() (io.ReadCloser, error)) error {
	src, err := open()
	if err != nil {
		return err
	}
	defer src.Close()
	hash := sha256.New()
	tee := io.TeeReader(src, hash)
	if err := unpack(dir, tee, own); err != nil {
		return err
	}
	if _, err := io.Copy(io.Discard, tee); err != nil { // what a tar has behind its end counts too
		return err
	}
	if have := digestOf(hash.Sum(nil)); have != digest {
		return fmt.Errorf("the content's digest is %s", have)
	}
	return nil
}

func digestOf(sum []byte) string { return "sha256:" + hex.EncodeToString(sum) }

// checkDigest refuses what is no digest: it becomes a file's name.
func checkDigest(digest string) error {
	rest, ok := strings.CutPrefix(digest, "sha256:")
	if b, err := hex.DecodeString(rest); !ok || err != nil || len(b) != sha256.Size || rest != strings.ToLower(rest) {
		return fmt.Errorf("%q is no sha256 digest", digest)
	}
	return nil
}

// list returns the names of the unpacked layers.
func (st layerStore) list() ([]string, error) {
	entries, err := os.ReadDir(st.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var out []string
	for _, e := range entries {
		if e.IsDir() && !strings.HasSuffix(e.Name(), ".new") {
			out = append(out, e.Name())
		}
	}
	return out, err
}
