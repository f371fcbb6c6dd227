//go:build linux

package sim

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// maxLayer bounds what one layer may unpack to, in bytes (smolvm v1.1.0's limit for a whole image).
const maxLayer = 8 << 30

// An unpacker writes one layer below a directory. A layer is a stranger's: every parent is resolved by the kernel as if the
// directory were the root, the last component is never followed, and no device is made.
type unpacker struct {
	tree  tree
	own   ownership
	dirs  []*tar.Header // their modes and times are set last
	bytes int64
}

// unpack makes dir and writes a layer's tar into it.
func unpack(dir string, src io.Reader, own ownership) error {
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	fd, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	u := &unpacker{tree: tree{root: fd, last: -1}, own: own}
	defer u.tree.close()
	if err := u.settle(fd, "", &tar.Header{Mode: 0o755, Typeflag: tar.TypeDir}); err != nil {
		return err
	}
	for r := tar.NewReader(src); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return u.finish()
		}
		if err != nil {
			return err
		}
		if err := u.entry(h, r); err != nil {
			return fmt.Errorf("entry %q: %w", h.Name, err)
		}
	}
}

var (
	errLeaves  = errors.New("the path leaves the layer")
	errTooBig  = errors.New("the layer unpacks to more than 8 GiB")
	errNoEntry = errors.New("the path names no entry")
)

// clean makes an entry's name relative to the layer's root, "." being the root itself.
func clean(name string) (string, error) {
	if slices.Contains(strings.Split(name, "/"), "..") {
		return "", errLeaves
	}
	if strings.ContainsRune(name, 0) {
		return "", errNoEntry
	}
	return strings.TrimPrefix(path.Clean("/"+name), "/"), nil
}

func (u *unpacker) entry(h *tar.Header, r io.Reader) error {
	name, err := clean(h.Name)
	if err != nil {
		return err
	}
	h.Name = name
	base := path.Base(name)
	switch {
	case name == "" && h.Typeflag == tar.TypeDir:
		u.dirs = append(u.dirs, h)
		return nil
	case name == "":
		return errNoEntry
	case base == whiteoutOpaque:
		return u.opaque(path.Dir(name))
	case strings.HasPrefix(base, whiteoutMeta):
		return nil
	case strings.HasPrefix(base, whiteoutPrefix):
		return u.whiteout(path.Dir(name), strings.TrimPrefix(base, whiteoutPrefix))
	}
	dir, err := u.tree.directory(path.Dir(name), u.implied)
	if err != nil {
		return err
	}
	return u.make(dir, base, h, r)
}

// make creates one entry in an open directory, in the place of what is there.
func (u *unpacker) make(dir int, base string, h *tar.Header, r io.Reader) error {
	switch h.Typeflag {
	case tar.TypeDir:
		return u.makeDirectory(dir, base, h)
	case tar.TypeReg, tar.TypeRegA: //nolint:staticcheck // old tars have it
		if err := u.clear(dir, base); err != nil {
			return err
		}
		return u.makeFile(dir, base, h, r)
	case tar.TypeSymlink:
		if err := u.clear(dir, base); err != nil {
			return err
		}
		if err := unix.Symlinkat(h.Linkname, dir, base); err != nil {
			return err
		}
		return u.settle(dir, base, h)
	case tar.TypeLink:
		return u.makeLink(dir, base, h)
	case tar.TypeFifo:
		if err := u.clear(dir, base); err != nil {
			return err
		}
		if err := unix.Mknodat(dir, base, unix.S_IFIFO|0o600, 0); err != nil {
			return err
		}
		return u.settle(dir, base, h)
	}
	return nil // devices, and what else a guest gets from nobody
}

func (u *unpacker) makeDirectory(dir int, base string, h *tar.Header) error {
	var st unix.Stat_t
	err := unix.Fstatat(dir, base, &st, unix.AT_SYMLINK_NOFOLLOW)
	isDir := err == nil && st.Mode&unix.S_IFMT == unix.S_IFDIR
	removed := err == nil && isWhiteout(st)
	if !isDir {
		if err := u.clear(dir, base); err != nil {
			return err
		}
		if err := unix.Mkdirat(dir, base, 0o700); err != nil {
			return err
		}
	}
	u.dirs = append(u.dirs, h)
	if removed { // the layer removed the lower one and made its own
		return u.opaque(h.Name)
	}
	return nil
}

func (u *unpacker) makeFile(dir int, base string, h *tar.Header, r io.Reader) error {
	fd, err := unix.Openat(dir, base, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return err
	}
	f := os.NewFile(uintptr(fd), base)
	defer f.Close()
	n, err := io.Copy(f, io.LimitReader(r, maxLayer-u.bytes+1))
	if err != nil {
		return err
	}
	if u.bytes += n; u.bytes > maxLayer {
		return errTooBig
	}
	return u.settle(dir, base, h)
}

// makeLink makes a hard link to an entry of the same layer. The target's last component is not followed.
func (u *unpacker) makeLink(dir int, base string, h *tar.Header) error {
	target, err := clean(h.Linkname)
	if err != nil {
		return err
	}
	if target == "" || target == h.Name {
		return errNoEntry
	}
	from, err := u.tree.open(path.Dir(target))
	if err != nil {
		return err
	}
	defer unix.Close(from)
	var st unix.Stat_t
	if err := unix.Fstatat(from, path.Base(target), &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return err
	}
	if isWhiteout(st) {
		return unix.ENOENT
	}
	if err := u.clear(dir, base); err != nil {
		return err
	}
	return unix.Linkat(from, path.Base(target), dir, base, 0)
}

// implied makes a parent that the layer does not list. One that the layer removed hides the lower one.
func (u *unpacker) implied(dir int, base string) error {
	var st unix.Stat_t
	removed := unix.Fstatat(dir, base, &st, unix.AT_SYMLINK_NOFOLLOW) == nil && isWhiteout(st)
	if removed {
		if err := unix.Unlinkat(dir, base, 0); err != nil {
			return err
		}
	}
	if err := unix.Mkdirat(dir, base, 0o755); err != nil {
		return err
	}
	if removed {
		if err := unix.Setxattr(fmt.Sprintf("/proc/self/fd/%d/%s", dir, base), opaqueAttribute, []byte("y"), 0); err != nil {
			return err
		}
	}
	return u.settle(dir, base, &tar.Header{Mode: 0o755, Typeflag: tar.TypeDir})
}

// clear removes what an entry replaces.
func (u *unpacker) clear(dir int, base string) error {
	err := unix.Unlinkat(dir, base, 0)
	if errors.Is(err, unix.EISDIR) {
		u.tree.forget()
		return unix.Unlinkat(dir, base, unix.AT_REMOVEDIR)
	}
	if errors.Is(err, unix.ENOENT) {
		return nil
	}
	u.tree.forget()
	return err
}
