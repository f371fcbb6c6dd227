package images

import (
	"archive/tar"
	"bufio"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// Open reads the image archive at path, which `docker save` wrote or an OCI tool, gzipped or not, and checks that its image is for
// linux/arch. The image reads from the file, or from what was unpacked below scratch, an empty directory that must stay until the
// image is no longer used.
func Open(path, scratch, arch string) (v1.Image, error) {
	img, err := open(path, scratch, arch)
	if err == nil {
		err = checkPlatform(img, arch)
	}
	if err != nil {
		return nil, fmt.Errorf("image archive %q: %w", path, err)
	}
	return img, nil
}

func open(path, scratch, arch string) (v1.Image, error) {
	plain, err := gunzip(path, scratch)
	if err != nil {
		return nil, err
	}
	docker, oci, err := formats(plain)
	switch {
	case err != nil:
		return nil, fmt.Errorf("it is no tar: %w", err)
	case docker:
		return tarball.ImageFromPath(plain, nil)
	case oci:
		return openLayout(plain, filepath.Join(scratch, "layout"), arch)
	}
	return nil, errors.New("it holds no image: neither manifest.json (docker save) nor index.json (OCI) is in it; a root filesystem is given as a directory")
}

// gunzip returns a plain tar: path, or what it holds, unpacked. An image is read in pieces, and each would unpack the whole again.
func gunzip(path, scratch string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer func() { _ = f.Close() }()
	r := bufio.NewReader(f)
	if magic, _ := r.Peek(2); string(magic) != "\x1f\x8b" {
		return path, nil
	}
	z, err := gzip.NewReader(r)
	if err != nil {
		return "", err
	}
	plain := filepath.Join(scratch, "image.tar")
	return plain, write(z, func() (io.WriteCloser, error) { return os.Create(plain) })
}

func write(from io.Reader, create func() (io.WriteCloser, error)) error {
	to, err := create()
	if err != nil {
		return err
	}
	_, err = io.Copy(to, from)
	return errors.Join(err, to.Close())
}

// formats reports in which way a tar says what image is in it. Newer releases of `docker save` say it in both.
func formats(path string) (docker, oci bool, err error) {
	err = eachFile(path, func(name string, _ io.Reader) error {
		docker = docker || name == "manifest.json"
		oci = oci || name == "index.json"
		return nil
	})
	return docker, oci, err
}

func eachFile(archive string, do func(name string, content io.Reader) error) error {
	f, err := os.Open(archive)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	for r := tar.NewReader(f); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if h.Typeflag != tar.TypeReg {
			continue
		}
		if err := do(path.Clean(h.Name), r); err != nil {
			return err
		}
	}
}

// openLayout unpacks the files of an OCI layout below dir, and no others, and opens its image for arch. The root keeps every name in
// the archive below dir.
func openLayout(archive, dir, arch string) (v1.Image, error) {
	if err := os.MkdirAll(filepath.Join(dir, "blobs"), 0o700); err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	defer func() { _ = root.Close() }()
	err = eachFile(archive, func(name string, content io.Reader) error {
		if name != "oci-layout" && name != "index.json" && !strings.HasPrefix(name, "blobs/") {
			return nil
		}
		if err := root.MkdirAll(path.Dir(name), 0o700); err != nil {
			return err
		}
		return write(content, func() (io.WriteCloser, error) { return root.Create(name) })
	})
	if err != nil {
		return nil, err
	}
	index, err := layout.ImageIndexFromPath(dir)
	if err != nil {
		return nil, err
	}
	return choose(index, arch)
}

// choose returns the one image for linux/arch in the index, however deep.
func choose(index v1.ImageIndex, arch string) (v1.Image, error) {
	found, err := candidates(index, arch)
	if err != nil {
		return nil, err
	}
	if len(found) != 1 {
		return nil, fmt.Errorf("it holds %d images for linux/%s, want one", len(found), arch)
	}
	return found[0], nil
}

func candidates(index v1.ImageIndex, arch string) ([]v1.Image, error) {
	manifest, err := index.IndexManifest()
	if err != nil {
		return nil, err
	}
	var found []v1.Image
	for _, d := range manifest.Manifests {
		switch {
		case d.MediaType.IsIndex():
			inner, err := index.ImageIndex(d.Digest)
			if err != nil {
				return nil, err
			}
			more, err := candidates(inner, arch)
			if err != nil {
				return nil, err
			}
			found = append(found, more...)
		case d.MediaType.IsImage() && (d.Platform == nil || d.Platform.OS == "linux" && d.Platform.Architecture == arch):
			img, err := index.Image(d.Digest)
			if err != nil {
				return nil, err
			}
			found = append(found, img)
		}
	}
	return found, nil
}

// checkPlatform refuses an image that no guest here can run; one that does not say is let through.
func checkPlatform(img v1.Image, arch string) error {
	config, err := img.ConfigFile()
	if err != nil {
		return err
	}
	if config.Architecture == "" || config.OS == "" || config.OS == "linux" && config.Architecture == arch {
		return nil
	}
	return fmt.Errorf("it is for %s/%s, the guest is linux/%s", config.OS, config.Architecture, arch)
}
