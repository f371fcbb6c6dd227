//go:build linux

package sim

import (
	"archive/tar"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"
)

// A .smolmachine of the simulator's is a tar, uncompressed: manifest.json, then the layers' tars under their digests. Behind it
// stand packFooter bytes, "sha256:" and the hex digest of all before them. Neither names, paths, registries nor times are in it, so
// that the same content is the same digest wherever and whenever it is packed.
const (
	packSuffix   = ".smolmachine"
	packFormat   = 1
	packManifest = "manifest.json"
	packFooter   = len("sha256:") + 2*sha256.Size + 1
)

// A manifest is what a pack says about the machine it makes. There is no user in it: a pack's commands run as root, until after
// smolvm v1.9.3 (#1202).
type manifest struct {
	Format     int         `json:"format"`
	Mode       packMode    `json:"mode"`
	Image      string      `json:"image,omitempty"` // repository and tag, without the registry
	Digest     string      `json:"image_digest,omitempty"`
	Platform   string      `json:"platform"`
	CPUs       int         `json:"cpus"`
	MemoryMiB  int         `json:"mem"`
	Network    bool        `json:"network"`
	Entrypoint []string    `json:"entrypoint,omitempty"`
	Cmd        []string    `json:"cmd,omitempty"`
	Env        []string    `json:"env,omitempty"`
	Workdir    string      `json:"workdir,omitempty"`
	Layers     []packLayer `json:"layers"`
}

// packMode is what kind of machine a pack makes.
type packMode string

const (
	packContainer packMode = "container" // of an image
	packVM        packMode = "vm"        // the writable layer of a bare machine
)

// A packLayer is one layer in a pack, the lowest first.
type packLayer struct {
	Digest string `json:"digest"`
	Size   int64  `json:"size"` // bytes
}

func (l packLayer) entry() string {
	return path.Join("layers", strings.TrimPrefix(l.Digest, "sha256:")+".tar")
}

// A source gives a layer's tar, any number of times.
type source func() (io.ReadCloser, error)

// measure reads a layer once for its digest and size.
func measure(open source) (packLayer, error) {
	r, err := open()
	if err != nil {
		return packLayer{}, err
	}
	defer r.Close()
	h := sha256.New()
	n, err := io.Copy(h, r)
	return packLayer{Digest: digestOf(h.Sum(nil)), Size: n}, err
}

// writePack writes a pack and returns its digest. The name changes hands when the content is complete.
func writePack(file string, m manifest, layers []source) (string, error) {
	tmp, err := os.CreateTemp(filepath.Dir(file), ".smolmachine-")
	if err != nil {
		return "", err
	}
	defer os.Remove(tmp.Name())
	h := sha256.New()
	err = writePackTo(io.MultiWriter(tmp, h), m, layers)
	digest := digestOf(h.Sum(nil))
	if err == nil {
		_, err = fmt.Fprintln(tmp, digest)
	}
	if err = errors.Join(err, tmp.Chmod(0o644), tmp.Close()); err != nil {
		return "", err
	}
	return digest, os.Rename(tmp.Name(), file)
}

func writePackTo(w io.Writer, m manifest, layers []source) error {
	b, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return err
	}
	tw := tar.NewWriter(w)
	if err := tw.WriteHeader(packHeader(packManifest, int64(len(b)))); err != nil {
		return err
	}
	if _, err := tw.Write(b); err != nil {
		return err
	}
	for i, l := range m.Layers {
		if err := writePackLayer(tw, l, layers[i]); err != nil {
			return fmt.Errorf("layer %s: %w", l.Digest, err)
		}
	}
	return tw.Close()
}

func writePackLayer(tw *tar.Writer, l packLayer, open source) error {
	r, err := open()
	if err != nil {
		return err
	}
	defer r.Close()
	if err := tw.WriteHeader(packHeader(l.entry(), l.Size)); err != nil {
		return err
	}
	_, err = io.CopyN(tw, r, l.Size)
	return err
}

func packHeader(name string, size int64) *tar.Header {
	return &tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o644, Size: size, ModTime: time.Unix(0, 0), Format: tar.FormatPAX}
}

// A pack is an open .smolmachine.
type pack struct {
	manifest
	digest string // as its footer says
	file   *os.File
	size   int64 // of the tar
}

func (p *pack) close() { _ = p.file.Close() }

var errNoPack = errors.New("not a .smolmachine of smolvm-sim: it does not end in a checksum")

// openPackFile reads a pack's manifest and footer. Its checksum is not verified yet.
func openPackFile(file string) (*pack, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	p := &pack{file: f}
	if err := p.read(); err != nil {
		p.close()
		return nil, err
	}
	return p, nil
}

func (p *pack) read() error {
	info, err := p.file.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() || info.Size() < int64(packFooter) {
		return errNoPack
	}
	p.size = info.Size() - int64(packFooter)
	footer := make([]byte, packFooter)
	if _, err := p.file.ReadAt(footer, p.size); err != nil {
		return err
	}
	p.digest = strings.TrimSuffix(string(footer), "\n")
	if checkDigest(p.digest) != nil {
		return errNoPack
	}
	r, err := p.open(packManifest)
	if err != nil {
		return fmt.Errorf("read manifest: %w", err)
	}
	if err := json.NewDecoder(r).Decode(&p.manifest); err != nil {
		return fmt.Errorf("read manifest: %w", err)
	}
	if p.Format != packFormat {
		return fmt.Errorf("format %d is not %d: packed by another version of smolvm-sim", p.Format, packFormat)
	}
	return nil
}

// open returns one entry of the pack.
func (p *pack) open(name string) (io.ReadCloser, error) {
	for r := tar.NewReader(io.NewSectionReader(p.file, 0, p.size)); ; {
		h, err := r.Next()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		if h.Name == name {
			return io.NopCloser(r), nil
		}
	}
}

// verify reads the whole pack and compares its checksum.
func (p *pack) verify() error {
	h := sha256.New()
	if _, err := io.Copy(h, io.NewSectionReader(p.file, 0, p.size)); err != nil {
		return err
	}
	if have := digestOf(h.Sum(nil)); have != p.digest {
		return fmt.Errorf("checksum mismatch: expected %s, got %s: the file is damaged", p.digest, have)
	}
	return nil
}
