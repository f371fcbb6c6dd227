package gobuild

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"sync"

	"github.com/klauspost/compress/zstd"
)

// ErrNotCarried says that a released binary was asked for what it does not have with it: another command or platform, or the sources.
var ErrNotCarried = errors.New("not carried by a released bottle-probe")

// A Release is what a released binary says of itself, and the list of what it carries.
type Release struct {
	Version  string    `json:"version"`
	Commit   string    `json:"commit,omitempty"` // "" is not known
	Kit      string    `json:"kit"`              // what Kit was of the sources
	Binaries []Carried `json:"binaries"`
}

// Carried is one binary that a release has with it.
type Carried struct {
	Command string `json:"command"`
	GOOS    string `json:"os"`
	GOARCH  string `json:"arch"`
	SHA256  string `json:"sha256"` // of the binary, in hex
}

// What is carried lies in one directory: the manifest, the binaries compressed, and the kit's record of kills.
const (
	manifestName = "release.json"
	killsName    = "kills"
)

// file is where the binary lies, compressed.
func (c Carried) file() string { return c.Command + "-" + c.GOOS + "-" + c.GOARCH + ".zst" }

// Released is what this binary says of its release; nil in one that was built from sources, which finds them where it needs them.
func Released() (*Release, error) {
	p, err := onBoard()
	if p == nil || err != nil {
		return nil, err
	}
	return &p.Release, nil
}

// onBoard is what this binary carries; nil if it was built from sources.
var onBoard = sync.OnceValues(func() (*parcel, error) {
	if carried == nil {
		return nil, nil
	}
	return openParcel(carried)
})

// A parcel is what a released binary carries.
type parcel struct {
	Release
	files fs.FS
}

func openParcel(files fs.FS) (*parcel, error) {
	text, err := fs.ReadFile(files, manifestName)
	if err != nil {
		return nil, fmt.Errorf("gobuild: what this binary carries: %w", err)
	}
	p := &parcel{files: files}
	if err := json.Unmarshal(text, &p.Release); err != nil {
		return nil, fmt.Errorf("gobuild: what this binary carries: %s: %w", manifestName, err)
	}
	return p, nil
}

// find is the entry of t.
func (p *parcel) find(t Target) (Carried, error) {
	for _, c := range p.Binaries {
		if c.Command == t.Command && c.GOOS == t.GOOS && c.GOARCH == t.GOARCH {
			return c, nil
		}
	}
	return Carried{}, fmt.Errorf("%s for %s/%s is %w: that needs a checkout of its sources", t.Command, t.GOOS, t.GOARCH, ErrNotCarried)
}

// content is the binary of t.
func (p *parcel) content(t Target) ([]byte, error) {
	c, err := p.find(t)
	if err != nil {
		return nil, err
	}
	return p.inflate(c)
}

// inflate is the content of c, which is what its sum says or an error.
func (p *parcel) inflate(c Carried) ([]byte, error) {
	b, err := expanded(p.files, c.file())
	if err != nil {
		return nil, fmt.Errorf("gobuild: what this binary carries: %s: %w", c.file(), err)
	}
	if have := sum(b); have != c.SHA256 {
		return nil, fmt.Errorf("gobuild: what this binary carries: %s: its SHA-256 is %s, the manifest has %s", c.file(), have, c.SHA256)
	}
	return b, nil
}

// expanded is what was compressed into the file name.
func expanded(files fs.FS, name string) ([]byte, error) {
	b, err := fs.ReadFile(files, name)
	if err != nil {
		return nil, err
	}
	z, err := zstd.NewReader(nil)
	if err != nil {
		return nil, err
	}
	defer z.Close()
	return z.DecodeAll(b, nil)
}

// binary is the path of t below cache. It is unpacked there unless the file is there already, byte for byte: whoever can write into the cache
// could have put another one there.
func (p *parcel) binary(cache string, t Target) (string, error) {
	c, err := p.find(t)
	if err != nil {
		return "", err
	}
	path := filepath.Join(cache, "bottle", "bin", "sha256-"+c.SHA256, c.Command)
	if whole(path, c.SHA256) {
		return path, nil
	}
	b, err := p.inflate(c)
	if err != nil {
		return "", err
	}
	if err := unpack(path, b); err != nil {
		return "", fmt.Errorf("gobuild: unpacking %s: %w", c.Command, err)
	}
	return path, nil
}

// sum is the SHA-256 of b, in hex.
func sum(b []byte) string {
	s := sha256.Sum256(b)
	return hex.EncodeToString(s[:])
}
