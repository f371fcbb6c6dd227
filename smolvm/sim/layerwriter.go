//go:build linux

package sim

import (
	"archive/tar"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// A layerWriter writes directories as a layer's tar. What depends on when and where it was made is left out: the order is that of
// the names, ids are the guest's, and times are 0, so the same content is the same digest.
type layerWriter struct {
	tar       *tar.Writer
	keepTimes bool // of a directory that the user gave, which is what it is
	shifted   bool // the files' ids are in the guest's range
	skip      func(name string, d fs.DirEntry, st *syscall.Stat_t) verdict
	links     map[[2]uint64]string
}

// A verdict on one entry of a tree.
type verdict int

const (
	takeEntry verdict = iota
	skipEntry         // but not what is below it
	skipTree
)

// tree writes what is below dir under prefix ("" or "usr").
func (w layerWriter) tree(dir, prefix string) error {
	if w.links == nil {
		w.links = map[[2]uint64]string{}
	}
	return filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if path == dir && prefix == "" {
			return nil
		}
		rel, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		return w.entry(path, filepath.Join(prefix, rel), d)
	})
}

func (w layerWriter) entry(path, name string, d fs.DirEntry) error {
	info, err := d.Info()
	if err != nil {
		return err
	}
	st := info.Sys().(*syscall.Stat_t)
	if w.skip != nil {
		switch w.skip(name, d, st) {
		case skipEntry:
			return nil
		case skipTree:
			if d.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
	}
	if st.Mode&unix.S_IFMT == unix.S_IFCHR && st.Rdev == 0 {
		return w.tar.WriteHeader(w.header(filepath.Join(filepath.Dir(name), whiteoutPrefix+filepath.Base(name)), tar.TypeReg, nil))
	}
	h, err := w.describe(path, name, info, st)
	if h == nil || err != nil {
		return err
	}
	if err := w.tar.WriteHeader(h); err != nil {
		return err
	}
	switch h.Typeflag {
	case tar.TypeReg:
		return w.copy(path, h.Size)
	case tar.TypeDir:
		if opaque(path) {
			return w.tar.WriteHeader(w.header(filepath.Join(name, whiteoutOpaque), tar.TypeReg, nil))
		}
	}
	return nil
}

// describe is the header of one entry, nil for a kind that layers do not have.
func (w layerWriter) describe(path, name string, info fs.FileInfo, st *syscall.Stat_t) (*tar.Header, error) {
	var h *tar.Header
	switch info.Mode().Type() {
	case 0:
		if first, ok := w.links[[2]uint64{st.Dev, st.Ino}]; ok {
			h = w.header(name, tar.TypeLink, nil)
			h.Linkname = first
			return h, nil
		}
		if st.Nlink > 1 {
			w.links[[2]uint64{st.Dev, st.Ino}] = name
		}
		h = w.header(name, tar.TypeReg, st)
		h.Size = info.Size()
	case fs.ModeDir:
		h = w.header(name+"/", tar.TypeDir, st)
	case fs.ModeSymlink:
		target, err := os.Readlink(path)
		if err != nil {
			return nil, err
		}
		h = w.header(name, tar.TypeSymlink, st)
		h.Linkname = target
	case fs.ModeNamedPipe:
		h = w.header(name, tar.TypeFifo, st)
	default:
		return nil, nil
	}
	if w.keepTimes {
		h.ModTime = info.ModTime().Truncate(time.Second)
	}
	return h, nil
}

func (w layerWriter) header(name string, kind byte, st *syscall.Stat_t) *tar.Header {
	h := &tar.Header{Name: name, Typeflag: kind, Format: tar.FormatPAX, ModTime: time.Unix(0, 0)}
	if st == nil {
		return h
	}
	h.Mode = int64(st.Mode & 0o7777)
	h.Uid, h.Gid = w.id(st.Uid), w.id(st.Gid)
	return h
}

// id is the guest's for an id of the host's. A user with a single one is root in the guest.
func (w layerWriter) id(host uint32) int {
	switch {
	case !w.shifted && privileged():
		return int(host)
	case w.shifted && host >= guestIDs && host < guestIDs+guestRange:
		return int(host) - guestIDs
	}
	return 0
}

func (w layerWriter) copy(path string, size int64) error {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = io.CopyN(w.tar, f, size)
	return err
}

// opaque reports whether a directory of an upper layer hides what is below it. A machine's /usr may have the attribute of
// privileged overlays.
func opaque(path string) bool {
	buf := make([]byte, 1)
	for _, name := range []string{opaqueAttribute, strings.Replace(opaqueAttribute, "user.", "trusted.", 1)} {
		if n, err := unix.Lgetxattr(path, name, buf); err == nil && n == 1 && buf[0] == 'y' {
			return true
		}
	}
	return false
}
