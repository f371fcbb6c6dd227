//go:build linux

package sim

import (
	"errors"
	"fmt"
	"path"

	"golang.org/x/sys/unix"
)

// A layer removes names of the layers below. On disk that is what overlayfs knows: a character device 0:0 for one name, an attribute
// for a directory's whole content.

// The names by which a layer removes what is below it (OCI image specification, layer.md).
const (
	whiteoutPrefix = ".wh."
	whiteoutOpaque = ".wh..wh..opq"
	whiteoutMeta   = ".wh..wh."
)

// opaqueAttribute marks a directory that hides what is below it. Layers always use the attribute of unprivileged overlays, so
// that one store serves every mount.
const opaqueAttribute = "user.overlay.opaque"

// opaque makes a directory hide everything below it.
func (u *unpacker) opaque(name string) error {
	dir, err := u.tree.directory(name, u.implied)
	if err != nil {
		return err
	}
	return unix.Setxattr(fmt.Sprintf("/proc/self/fd/%d", dir), opaqueAttribute, []byte("y"), 0)
}

// whiteout hides one name of the layers below. A directory of the layer's own by that name becomes opaque.
func (u *unpacker) whiteout(parent, base string) error {
	if base == "" || base == "." || base == ".." {
		return errNoEntry
	}
	dir, err := u.tree.directory(parent, u.implied)
	if err != nil {
		return err
	}
	var st unix.Stat_t
	err = unix.Fstatat(dir, base, &st, unix.AT_SYMLINK_NOFOLLOW)
	switch {
	case errors.Is(err, unix.ENOENT):
		return unix.Mknodat(dir, base, unix.S_IFCHR, 0)
	case err == nil && st.Mode&unix.S_IFMT == unix.S_IFDIR:
		return u.opaque(path.Join(parent, base))
	}
	return err
}

func isWhiteout(st unix.Stat_t) bool { return st.Mode&unix.S_IFMT == unix.S_IFCHR && st.Rdev == 0 }
