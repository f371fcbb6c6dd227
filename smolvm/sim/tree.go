//go:build linux

package sim

import (
	"errors"
	"path"

	"golang.org/x/sys/unix"
)

// A tree is a directory under which paths are resolved as in a root of their own: symbolic links, absolute ones too, and ".." stay
// inside.
type tree struct {
	root    int    // the directory
	last    int    // the last directory opened, -1 = none
	lastDir string // its path
	mounts  bool   // paths may lead into other mounts
}

func (t *tree) close() {
	t.forget()
	_ = unix.Close(t.root)
}

// forget drops the cached directory: what its path leads to may have changed.
func (t *tree) forget() {
	if t.last >= 0 {
		_ = unix.Close(t.last)
	}
	t.last = -1
}

// open opens a directory for the caller to close.
func (t *tree) open(dir string) (int, error) {
	how := unix.OpenHow{
		Flags:   unix.O_RDONLY | unix.O_DIRECTORY | unix.O_CLOEXEC,
		Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS,
	}
	if !t.mounts {
		how.Resolve |= unix.RESOLVE_NO_XDEV
	}
	if dir == "" {
		dir = "."
	}
	return unix.Openat2(t.root, dir, &how)
}

// directory opens a directory, making it and its parents by make where they are missing. The descriptor is the tree's.
func (t *tree) directory(dir string, make func(parent int, base string) error) (int, error) {
	if dir == "." || dir == "" {
		return t.root, nil
	}
	if t.last >= 0 && t.lastDir == dir {
		return t.last, nil
	}
	fd, err := t.open(dir)
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR) {
		var parent int
		if parent, err = t.directory(path.Dir(dir), make); err != nil {
			return -1, err
		}
		if err = make(parent, path.Base(dir)); err != nil {
			return -1, err
		}
		fd, err = t.open(dir)
	}
	if err != nil {
		return -1, err
	}
	t.forget()
	t.last, t.lastDir = fd, dir
	return fd, nil
}
