package images

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"unicode"

	"github.com/google/go-containerregistry/pkg/name"
)

// A Kind is what sort of thing an image is named by.
type Kind int

// The kinds there are. The zero Kind is a guest without an image.
const (
	Bare      Kind = iota
	Pack           // a .smolmachine
	Registry       // a reference
	Archive        // a tar that `docker save` or an OCI tool wrote
	Directory      // a root filesystem
)

// A Source is an image as a user names it.
type Source struct {
	Kind Kind
	// Path is absolute; "" but for Pack, Archive and Directory.
	Path string
	// Reference is nil but for Registry.
	Reference name.Reference
}

const packSuffix = ".smolmachine"

var archiveSuffixes = []string{".tar", ".tar.gz", ".tgz"}

// checkSpelling is what smolvm asks of a reference besides: letters or digits at both ends (v0.8.0 validate_image_reference). The library takes
// the scheme of "docker://alpine" for a registry, and smolvm then looks that one up.
func checkSpelling(image string) error {
	if strings.Contains(image, "://") {
		return errors.New("it has a scheme")
	}
	for _, end := range []byte{image[0], image[len(image)-1]} {
		if !unicode.IsLetter(rune(end)) && !unicode.IsDigit(rune(end)) {
			return errors.New("it does not begin and end with a letter or digit")
		}
	}
	return nil
}

// Parse says what image names: "" a guest without one; a path if it begins with "/", "./", "../" or "~/" or ends as a pack or a tar
// does; anything else a registry reference. What is named by a path must exist. An error is one line, and says what to write instead.
func Parse(image string) (Source, error) {
	switch {
	case image == "":
		return Source{}, nil
	case image == "-":
		return Source{}, errors.New(`"-": an image from standard input is read once and gone: give its path`)
	case isPath(image):
		return parsePath(image)
	}
	ref, err := name.ParseReference(image)
	if err == nil {
		err = checkSpelling(image)
	}
	if err != nil {
		return Source{}, fmt.Errorf("%q is no registry reference (%s); a path begins with \"./\" or \"/\"", image, oneLine(err))
	}
	return Source{Kind: Registry, Reference: ref}, nil
}

func isPath(image string) bool {
	for _, prefix := range []string{"/", "./", "../", "~/"} {
		if strings.HasPrefix(image, prefix) {
			return true
		}
	}
	return image == "." || image == ".." || strings.HasSuffix(image, packSuffix) || isArchive(image)
}

func isArchive(path string) bool {
	for _, suffix := range archiveSuffixes {
		if strings.HasSuffix(path, suffix) {
			return true
		}
	}
	return false
}

func parsePath(image string) (Source, error) {
	path := image
	if rest, ok := strings.CutPrefix(image, "~/"); ok {
		home, err := os.UserHomeDir()
		if err != nil {
			return Source{}, fmt.Errorf("%q: %w", image, err)
		}
		path = filepath.Join(home, rest)
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return Source{}, fmt.Errorf("%q: %w", image, err)
	}
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return Source{}, fmt.Errorf("there is no %q: %w", path, fs.ErrNotExist)
	}
	if err != nil {
		return Source{}, fmt.Errorf("%q: %w", image, err)
	}
	switch mode := info.Mode(); {
	case mode.IsDir():
		return Source{Kind: Directory, Path: path}, nil
	case !mode.IsRegular():
		return Source{}, fmt.Errorf("%q is neither a file nor a directory", path)
	case info.Size() == 0:
		return Source{}, fmt.Errorf("%q is empty", path)
	case strings.HasSuffix(path, packSuffix):
		return Source{Kind: Pack, Path: path}, nil
	case isArchive(path):
		return Source{Kind: Archive, Path: path}, nil
	}
	return Source{}, fmt.Errorf("%q is no image: want a %s, a %s or a directory", path, packSuffix, strings.Join(archiveSuffixes, ", "))
}

func oneLine(err error) string { return strings.Join(strings.Fields(err.Error()), " ") }
