// Package hostimage makes container images of this host's own programs, for tests and measurements on machines that no registry can be
// reached from.
package hostimage

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// Needed are the programs that a launch of a bottle looks for in its image, in one release of smolvm or another.
var Needed = []string{"sh", "true", "chmod", "wc"}

// New returns an image for linux on this architecture with Needed, with the libraries that they load, and with the scripts: file name in
// /opt to content. /bin and /opt are the image's PATH. The same host and scripts give the same image.
func New(ctx context.Context, scripts map[string]string) (v1.Image, error) {
	files := map[string][]byte{}
	for _, name := range Needed {
		if err := addProgram(ctx, files, name); err != nil {
			return nil, fmt.Errorf("an image of this host's programs: %w", err)
		}
	}
	for name, text := range scripts {
		files["opt/"+name] = []byte(text)
	}
	return imageOf(files)
}

// library is one line of ldd: a path and where it would be loaded.
var library = regexp.MustCompile(`(/\S+) \(0x`)

func addProgram(ctx context.Context, files map[string][]byte, name string) error {
	path, err := exec.LookPath(name)
	if err != nil {
		return err
	}
	if files["bin/"+name], err = os.ReadFile(path); err != nil {
		return err
	}
	loads, err := exec.CommandContext(ctx, "ldd", path).Output()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		return nil // it is static
	}
	for _, found := range library.FindAllSubmatch(loads, -1) {
		lib := string(found[1])
		text, readErr := os.ReadFile(lib)
		err = errors.Join(err, readErr)
		files[strings.TrimPrefix(lib, "/")] = text
	}
	return err
}

func imageOf(files map[string][]byte) (v1.Image, error) {
	text, err := archive(files)
	if err != nil {
		return nil, err
	}
	layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(text)), nil })
	if err != nil {
		return nil, err
	}
	img, err := mutate.AppendLayers(empty.Image, layer)
	if err != nil {
		return nil, err
	}
	config, err := img.ConfigFile()
	if err != nil {
		return nil, err
	}
	config = config.DeepCopy()
	config.OS, config.Architecture, config.Config.Env = "linux", runtime.GOARCH, []string{"PATH=/bin:/opt"}
	return mutate.ConfigFile(img, config)
}

func archive(files map[string][]byte) ([]byte, error) {
	var names []string
	for name := range files {
		names = append(names, name)
	}
	slices.Sort(names)
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	for _, name := range names {
		if err := w.WriteHeader(&tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o755, Size: int64(len(files[name]))}); err != nil {
			return nil, err
		}
		if _, err := w.Write(files[name]); err != nil {
			return nil, err
		}
	}
	return buf.Bytes(), w.Close()
}
