//go:build linux

package sim

import (
	"archive/tar"
	"bufio"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// fileImage is the name in a machine's directory of an image that came through stdin.
const fileImage = "image.tar"

// localPath reports whether --image names a file, a directory or stdin and not a registry's image: it is "-", begins as a path
// does or ends as an archive does (smolvm v1.1.0, #409).
func localPath(image string) bool {
	for _, suffix := range []string{".tar", ".tar.gz", ".tgz"} {
		if strings.HasSuffix(image, suffix) {
			return true
		}
	}
	return image == "-" || strings.HasPrefix(image, "./") || strings.HasPrefix(image, "../") || filepath.IsAbs(image)
}

// setLocalImage records a local image. Its content is read at the first start.
func (r *record) setLocalImage(image string) error {
	path, err := filepath.Abs(image)
	if err != nil {
		return configError("resolve image", "%s: %w", image, err)
	}
	info, err := os.Stat(path)
	if err != nil {
		return configError("resolve image", "%s: %s", image, rustText(err))
	}
	if !info.IsDir() && !info.Mode().IsRegular() {
		return configError("resolve image", "%s is neither a file nor a directory", image)
	}
	r.Archive, r.Image = path, localName(path)
	return nil
}

// localName is how a machine of a local image names it.
func localName(path string) string {
	sum := sha256.Sum256([]byte(path))
	return "local:" + hex.EncodeToString(sum[:])[:12]
}

// spool keeps an image that comes through stdin in the machine's directory.
func (s *session) spool(m machine) (string, error) {
	path := m.file(fileImage)
	if err := os.MkdirAll(m.dir, 0o700); err != nil {
		return "", configError("read image from stdin", "%w", err)
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return "", configError("read image from stdin", "%w", err)
	}
	n, err := io.Copy(f, s.stdin)
	if err = errors.Join(err, f.Close()); err == nil && n == 0 {
		err = errors.New("stdin is empty")
	}
	if err != nil {
		return "", configError("read image from stdin", "%w", err)
	}
	return path, nil
}

// importLocal unpacks a machine's local image: a directory, or an archive as docker save or an OCI tool writes it.
func (s *session) importLocal(m machine) (content, error) {
	info, err := os.Stat(m.Archive)
	if err != nil {
		return content{}, agentError("flatten image", "%s: %s", m.Archive, rustText(err))
	}
	var c content
	if info.IsDir() {
		c, err = s.importDirectory(m.Archive)
	} else {
		c, err = s.importArchive(m.Archive)
	}
	if err != nil {
		return content{}, agentError("flatten image", "%s: %w", m.Archive, err)
	}
	return c, nil
}

// importDirectory makes one layer of a root file system.
func (s *session) importDirectory(dir string) (content, error) {
	write := func(w io.Writer) error {
		tw := tar.NewWriter(w)
		if err := (layerWriter{tar: tw, keepTimes: true}).tree(dir, ""); err != nil {
			return err
		}
		return tw.Close()
	}
	hash := sha256.New()
	if err := write(hash); err != nil {
		return content{}, err
	}
	c := content{Ownership: ownershipOf(false), Platform: hostPlatform(), Layers: []string{digestOf(hash.Sum(nil))}}
	c.Digest = c.Layers[0]
	return c, s.layers().ensure(c.Layers[0], c.Ownership, func() (io.ReadCloser, error) {
		r, w := io.Pipe()
		go func() { w.CloseWithError(write(w)) }()
		return r, nil
	})
}

// importArchive unpacks an image archive, compressed or not.
func (s *session) importArchive(path string) (content, error) {
	scratch, err := os.MkdirTemp("", "smolvm-sim-image-")
	if err != nil {
		return content{}, err
	}
	defer os.RemoveAll(scratch)
	path, err = plain(path, scratch)
	if err != nil {
		return content{}, err
	}
	img, err := tarball.ImageFromPath(path, nil)
	if err != nil {
		if img, err = ociArchive(path, filepath.Join(scratch, "oci")); err != nil {
			return content{}, err
		}
	}
	return s.unpackImage(img)
}

// plain returns the path of an archive, decompressed into scratch where it is compressed.
func plain(path, scratch string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	r := bufio.NewReader(f)
	if magic, _ := r.Peek(2); string(magic) != "\x1f\x8b" {
		return path, nil
	}
	z, err := gzip.NewReader(r)
	if err != nil {
		return "", err
	}
	out, err := os.Create(filepath.Join(scratch, "plain.tar"))
	if err != nil {
		return "", err
	}
	n, err := io.Copy(out, io.LimitReader(z, maxLayer+1))
	if err = errors.Join(err, out.Close()); err == nil && n > maxLayer {
		err = errTooBig
	}
	return out.Name(), err
}

var errNoImage = errors.New("not an image archive: neither manifest.json (docker save) nor index.json (OCI) is in it")

// ociArchive reads a tar of an OCI layout, its files copied into dir.
func ociArchive(path, dir string) (v1.Image, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, err
	}
	if err := unpack(filepath.Join(dir, "layout"), f, ownerSingle); err != nil {
		return nil, fmt.Errorf("%w (%w)", errNoImage, err)
	}
	index, err := layout.ImageIndexFromPath(filepath.Join(dir, "layout"))
	if err != nil {
		return nil, errNoImage
	}
	return pick(index)
}

// pick returns the image of an index for this host, or its only one.
func pick(index v1.ImageIndex) (v1.Image, error) {
	manifest, err := index.IndexManifest()
	if err != nil {
		return nil, err
	}
	for _, d := range manifest.Manifests {
		fits := d.Platform == nil || d.Platform.OS+"/"+d.Platform.Architecture == hostPlatform()
		switch {
		case d.MediaType.IsIndex():
			nested, err := index.ImageIndex(d.Digest)
			if err != nil {
				return nil, err
			}
			if img, err := pick(nested); err == nil {
				return img, nil
			}
		case d.MediaType.IsImage() && (fits || len(manifest.Manifests) == 1):
			return index.Image(d.Digest)
		}
	}
	return nil, fmt.Errorf("no image for %s in it", hostPlatform())
}
