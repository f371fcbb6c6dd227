//go:build linux

package sim

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io"
	"log"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// guestProgram is testdata/guest, built once.
var guestProgram = sync.OnceValues(func() ([]byte, error) {
	path := filepath.Join(filepath.Dir(program), "guest")
	cmd := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", path, "./testdata/guest")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return out, err
	}
	return os.ReadFile(path)
})

// An entry is one of a layer's tar.
type entry struct {
	tar.Header
	text string
}

func file(name, text string) entry { return entry{tar.Header{Name: name, Mode: 0o644}, text} }
func owned(e entry, uid, gid int) entry {
	e.Uid, e.Gid = uid, gid
	return e
}

func directory(name string, mode int64) entry {
	return entry{tar.Header{Name: name, Mode: mode, Typeflag: tar.TypeDir}, ""}
}

func symlink(name, target string) entry {
	return entry{tar.Header{Name: name, Linkname: target, Typeflag: tar.TypeSymlink, Mode: 0o777}, ""}
}

func hardlink(name, target string) entry {
	return entry{tar.Header{Name: name, Linkname: target, Typeflag: tar.TypeLink}, ""}
}

func device(name string) entry {
	return entry{tar.Header{Name: name, Typeflag: tar.TypeBlock, Devmajor: 254, Mode: 0o666}, ""}
}

// guest is the layer that every image of a test has: the program, as a command and as a shell.
func guest(t testing.TB) []entry {
	t.Helper()
	text, err := guestProgram()
	if err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	e := file("bin/guest", string(text))
	e.Mode = 0o755
	return []entry{e, hardlink("bin/sh", "bin/guest")}
}

func tarOf(t testing.TB, entries ...entry) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, e := range entries {
		h := e.Header
		h.Size = int64(len(e.text))
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, e.text); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// imageOf makes an image of layers, the lowest first.
func imageOf(t testing.TB, config v1.Config, layers ...[]entry) v1.Image {
	t.Helper()
	img := empty.Image
	for _, entries := range layers {
		text := tarOf(t, entries...)
		l, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(text)), nil })
		if err != nil {
			t.Fatal(err)
		}
		if img, err = mutate.AppendLayers(img, l); err != nil {
			t.Fatal(err)
		}
	}
	file, err := img.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	file = file.DeepCopy()
	file.Config, file.OS, file.Architecture = config, "linux", strings.TrimPrefix(hostPlatform(), "linux/")
	if img, err = mutate.ConfigFile(img, file); err != nil {
		t.Fatal(err)
	}
	return img
}

// saved writes an image as docker save does and returns the archive's path.
func (h *host) saved(img v1.Image) string {
	h.t.Helper()
	path := filepath.Join(h.dir, "image.tar")
	tag, err := name.NewTag("test:latest")
	if err == nil {
		err = tarball.WriteToFile(path, tag, img)
	}
	if err != nil {
		h.t.Fatal(err)
	}
	return path
}

// pushed serves an image in a registry on loopback and returns its reference.
func pushed(t testing.TB, img v1.Image) string {
	t.Helper()
	server := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	t.Cleanup(server.Close)
	ref := strings.TrimPrefix(server.URL, "http://") + "/team/app:v1"
	parsed, err := name.ParseReference(ref)
	if err == nil {
		err = remote.Write(parsed, img)
	}
	if err != nil {
		t.Fatal(err)
	}
	return ref
}

// tool runs a command of the test's program in the machine m.
func (h *host) tool(args ...string) string {
	h.t.Helper()
	return h.must(append([]string{"machine", "exec", "--name", "m", "--", "guest"}, args...)...)
}

// ociArchive writes an image as an OCI layout in a tar and returns its path.
func (h *host) ociArchive(img v1.Image) string {
	h.t.Helper()
	dir := h.t.TempDir()
	p, err := layout.Write(dir, empty.Index)
	if err == nil {
		err = p.AppendImage(img)
	}
	if err != nil {
		h.t.Fatal(err)
	}
	path := filepath.Join(h.dir, "oci.tar")
	hostShell(h.t, "tar -C "+dir+" -cf "+path+" .")
	return path
}

func timeOf(i int) time.Time { return time.Unix(int64(1000*i), 0) }

// listing is a tar's entries: name, type, mode, owner, target.
func listing(t testing.TB, text []byte) string {
	t.Helper()
	var b strings.Builder
	for r := tar.NewReader(bytes.NewReader(text)); ; {
		h, err := r.Next()
		if err == io.EOF {
			return b.String()
		}
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&b, "%s %c %o %d:%d %s\n", h.Name, h.Typeflag, h.Mode, h.Uid, h.Gid, h.Linkname)
	}
}
