package images

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

const arch = "amd64"

func must[T any](v T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// image is a random one for linux/arch.
func image(t *testing.T, arch string) v1.Image {
	t.Helper()
	img := must(random.Image(1000, 2))(t)
	config := must(img.ConfigFile())(t).DeepCopy()
	config.OS, config.Architecture = "linux", arch
	return must(mutate.ConfigFile(img, config))(t)
}

func digestOf(t *testing.T, img v1.Image) string {
	t.Helper()
	return must(img.Digest())(t).String()
}

// dockerSave is an archive as `docker save` writes it.
func dockerSave(t *testing.T, images ...v1.Image) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "image.tar")
	all := map[name.Tag]v1.Image{}
	for i, img := range images {
		all[must(name.NewTag(fmt.Sprintf("image:%d", i)))(t)] = img
	}
	if err := tarball.MultiWriteToFile(path, all); err != nil {
		t.Fatal(err)
	}
	return path
}

// ociArchive is an archive of an index with images for these architectures.
func ociArchive(t *testing.T, images map[string]v1.Image) string {
	t.Helper()
	var index v1.ImageIndex = empty.Index
	for arch, img := range images {
		index = mutate.AppendManifests(index, mutate.IndexAddendum{Add: img, Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: arch}}})
	}
	outer := mutate.AppendManifests(empty.Index, mutate.IndexAddendum{Add: index})
	dir := t.TempDir()
	must(layout.Write(dir, outer))(t)
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	if err := w.AddFS(os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	return tarOf(t, &buf, w)
}

func tarOf(t *testing.T, buf *bytes.Buffer, w *tar.Writer) string {
	t.Helper()
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "image.tar")
	if err := os.WriteFile(path, buf.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func gzipped(t *testing.T, path string) string {
	t.Helper()
	var buf bytes.Buffer
	w := gzip.NewWriter(&buf)
	_, _ = w.Write(must(os.ReadFile(path))(t))
	_ = w.Close()
	if err := os.WriteFile(path+".gz", buf.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return path + ".gz"
}

func TestParse(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	t.Setenv("HOME", dir)
	for _, file := range []string{"x.smolmachine", "x.tar", "x.tar.gz", "x.tgz", "x.zip"} {
		must(0, os.WriteFile(file, []byte("x"), 0o600))(t)
	}
	must(0, os.Mkdir("rootfs", 0o700))(t)
	must(0, os.WriteFile("empty.tar", nil, 0o600))(t)
	for image, want := range map[string]struct {
		kind Kind
		name string
	}{
		"":                    {Bare, ""},
		"x.smolmachine":       {Pack, filepath.Join(dir, "x.smolmachine")},
		"./x.tar":             {Archive, filepath.Join(dir, "x.tar")},
		"x.tar.gz":            {Archive, filepath.Join(dir, "x.tar.gz")},
		"~/x.tgz":             {Archive, filepath.Join(dir, "x.tgz")},
		"./rootfs":            {Directory, filepath.Join(dir, "rootfs")},
		".":                   {Directory, dir},
		"rootfs":              {Registry, "index.docker.io/library/rootfs:latest"},
		"alpine:3.20":         {Registry, "index.docker.io/library/alpine:3.20"},
		"localhost:5000/a/b":  {Registry, "localhost:5000/a/b:latest"},
		"ghcr.io/a/b@" + zero: {Registry, "ghcr.io/a/b@" + zero},
	} {
		got, err := Parse(image)
		named := got.Path
		if got.Reference != nil {
			named = got.Reference.Name()
		}
		if err != nil || got.Kind != want.kind || named != want.name {
			t.Errorf("%q is %d %q, %v; want %d %q", image, got.Kind, named, err, want.kind, want.name)
		}
	}
}

const zero = "sha256:0000000000000000000000000000000000000000000000000000000000000000"

func TestParseRefuses(t *testing.T) {
	t.Chdir(t.TempDir())
	must(0, os.WriteFile("x.zip", []byte("x"), 0o600))(t)
	must(0, os.WriteFile("empty.tar", nil, 0o600))(t)
	for image, says := range map[string]string{
		"-":                  "standard input",
		"no.smolmachine":     "no.smolmachine",
		"./no":               "there is no",
		"no.tar":             "there is no",
		"./x.zip":            "want a",
		"empty.tar":          "empty",
		"/dev/null":          "neither",
		"UPPER/case":         "reference",
		"a b":                "reference",
		"x:y:z":              "reference",
		"docker://alpine":    "reference",
		"--flag":             "reference",
		"alpine@sha256:beef": "reference",
	} {
		if s, err := Parse(image); err == nil || !strings.Contains(err.Error(), says) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%q: %+v, %v; want one line with %q", image, s, err, says)
		}
	}
}

func TestOpen(t *testing.T) {
	img, other := image(t, arch), image(t, "arm64")
	for form, path := range map[string]string{
		"docker":      dockerSave(t, img),
		"docker gzip": gzipped(t, dockerSave(t, img)),
		"OCI":         ociArchive(t, map[string]v1.Image{arch: img, "arm64": other}),
		"OCI gzip":    gzipped(t, ociArchive(t, map[string]v1.Image{arch: img})),
	} {
		got, err := Open(path, t.TempDir(), arch)
		if err != nil {
			t.Errorf("%s: %v", form, err)
			continue
		}
		if a, b := must(got.ConfigName())(t), must(img.ConfigName())(t); a != b {
			t.Errorf("%s: another image: %s, want %s", form, a, b)
		}
		for i, layer := range must(got.Layers())(t) {
			want := must(must(img.Layers())(t)[i].DiffID())(t)
			if diff := must(layer.DiffID())(t); diff != want {
				t.Errorf("%s: layer %d is %s, want %s", form, i, diff, want)
			}
		}
	}
}

func TestOpenRefuses(t *testing.T) {
	img := image(t, "arm64")
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	_ = w.WriteHeader(&tar.Header{Name: "etc/passwd", Typeflag: tar.TypeReg})
	rootfs := tarOf(t, &buf, w)
	text := filepath.Join(t.TempDir(), "x.tar")
	must(0, os.WriteFile(text, []byte(strings.Repeat("no tar ", 200)), 0o600))(t)
	for name, tc := range map[string]struct{ path, says string }{
		"another platform":      {dockerSave(t, img), "linux/arm64"},
		"another platform, OCI": {ociArchive(t, map[string]v1.Image{"arm64": img}), "0 images for linux/amd64"},
		"several images":        {dockerSave(t, img, image(t, arch)), "single image"},
		"a root filesystem":     {rootfs, "manifest.json"},
		"no tar":                {text, "no tar"},
		"nothing":               {filepath.Join(t.TempDir(), "no.tar"), "no such file"},
	} {
		if _, err := Open(tc.path, t.TempDir(), arch); err == nil || !strings.Contains(err.Error(), tc.says) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v; want one line with %q", name, err, tc.says)
		}
	}
}

// TestNothingIsUnpackedElsewhere gives an OCI archive names that climb.
func TestNothingIsUnpackedElsewhere(t *testing.T) {
	for _, evil := range []string{"blobs/../../escaped", "/escaped", "../escaped", "blobs/sha256/../../../escaped"} {
		var buf bytes.Buffer
		w := tar.NewWriter(&buf)
		for _, name := range []string{"index.json", evil} {
			_ = w.WriteHeader(&tar.Header{Name: name, Typeflag: tar.TypeReg, Size: 2, Mode: 0o600})
			_, _ = io.WriteString(w, "{}")
		}
		scratch := filepath.Join(t.TempDir(), "scratch")
		must(0, os.Mkdir(scratch, 0o700))(t)
		if _, err := Open(tarOf(t, &buf, w), scratch, arch); err == nil {
			t.Errorf("%q passes", evil)
		}
		for _, dir := range []string{scratch, filepath.Dir(scratch), "/"} {
			if _, err := os.Lstat(filepath.Join(dir, "escaped")); err == nil {
				t.Errorf("%q was written to %q", evil, dir)
			}
		}
	}
}
