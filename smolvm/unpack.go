package smolvm

import (
	"archive/tar"
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"syscall"
)

const (
	defaultDirBytes   = 4 << 30 // what smolvm cp has for a limit
	defaultDirEntries = 100_000
	// maxTrailer is how much padding may follow an archive's end; tar fills up to 10 KiB.
	maxTrailer = 1 << 20
)

// packDir writes what is in root as a tar. GNU's form, for long names: busybox does not read POSIX's.
func packDir(w io.Writer, root *os.Root) error {
	out := tar.NewWriter(w)
	err := fs.WalkDir(root.FS(), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || name == "." {
			return err
		}
		return packEntry(out, root, name)
	})
	return errors.Join(err, out.Close())
}

func packEntry(out *tar.Writer, root *os.Root, name string) error {
	info, err := root.Lstat(name)
	if err != nil {
		return err
	}
	h := &tar.Header{Name: name, Mode: int64(info.Mode().Perm()), ModTime: info.ModTime(), Format: tar.FormatGNU}
	switch info.Mode().Type() {
	case 0:
		h.Typeflag, h.Size = tar.TypeReg, info.Size()
	case fs.ModeDir:
		h.Typeflag, h.Name = tar.TypeDir, name+"/"
	case fs.ModeSymlink:
		h.Typeflag = tar.TypeSymlink
		if h.Linkname, err = root.Readlink(name); err != nil {
			return err
		}
	default:
		return fmt.Errorf("%w: %q is %s, no file, directory or link", ErrInvalid, name, info.Mode().Type())
	}
	if err := out.WriteHeader(h); err != nil {
		return fmt.Errorf("packing %q: %w", name, err)
	}
	if h.Typeflag != tar.TypeReg {
		return nil
	}
	f, err := root.Open(name)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	if n, err := io.Copy(out, f); err != nil || n != h.Size {
		return fmt.Errorf("packing %q: %w", name, cmpErr(err, io.ErrUnexpectedEOF))
	}
	return nil
}

func cmpErr(err, otherwise error) error {
	if err != nil {
		return err
	}
	return otherwise
}

// unpackDir writes the tar in r into root, which is empty, and reads r to its end. It writes nowhere else: root resolves every name below
// itself, and no link is ever made in it.
func unpackDir(r io.Reader, root *os.Root, limits DirLimits) error {
	left := limits
	left.Bytes, left.Entries = cmp.Or(limits.Bytes, defaultDirBytes), cmp.Or(limits.Entries, defaultDirEntries)
	counted := &zeros{r: r}
	for in := tar.NewReader(counted); ; {
		h, err := in.Next()
		if errors.Is(err, io.EOF) {
			return drain(counted)
		}
		if err != nil {
			return fmt.Errorf("reading the guest's archive: %w", err)
		}
		if left.Entries--; left.Entries < 0 {
			return fmt.Errorf("%w: more than %d entries", ErrUnsafe, cmp.Or(limits.Entries, defaultDirEntries))
		}
		if h.Size > left.Bytes {
			return fmt.Errorf("%w: more than %d bytes with %q", ErrUnsafe, cmp.Or(limits.Bytes, defaultDirBytes), h.Name)
		}
		left.Bytes -= h.Size
		if err := unpackEntry(in, h, root); err != nil {
			return err
		}
	}
}

// drain reads the padding behind the archive. An archive without its end may be short of entries.
func drain(r *zeros) error {
	n, err := io.Copy(io.Discard, io.LimitReader(r, maxTrailer+1))
	switch {
	case err != nil:
		return err
	case n > maxTrailer:
		return fmt.Errorf("%w: more than %d bytes behind the archive's end", ErrUnsafe, maxTrailer)
	case r.last < endOfArchive:
		return fmt.Errorf("reading the guest's archive: it has no end: %w", io.ErrUnexpectedEOF)
	}
	return nil
}

// endOfArchive is how many zero bytes end a tar at least.
const endOfArchive = 1024

// zeros counts the zero bytes that r ends with.
type zeros struct {
	r    io.Reader
	last int64
}

func (z *zeros) Read(p []byte) (int, error) {
	n, err := z.r.Read(p)
	end := len(bytes.TrimRight(p[:n], "\x00"))
	if end > 0 {
		z.last = 0
	}
	z.last += int64(n - end)
	return n, err
}

func unpackEntry(in io.Reader, h *tar.Header, root *os.Root) error {
	name, err := localName(h.Name)
	if err != nil {
		return err
	}
	perm := fs.FileMode(h.Mode) & fs.ModePerm
	switch h.Typeflag {
	case tar.TypeDir:
		return unpackFolder(root, name, perm)
	case tar.TypeReg, tar.TypeGNUSparse:
	default:
		return fmt.Errorf("%w: %q is of type %q, no file and no directory", ErrUnsafe, h.Name, h.Typeflag)
	}
	if name == "." || strings.HasSuffix(h.Name, "/") {
		return fmt.Errorf("%w: %q is no name of a file", ErrUnsafe, h.Name)
	}
	if err := root.MkdirAll(path.Dir(name), 0o700); err != nil {
		return placing(h.Name, err)
	}
	f, err := root.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, perm|0o200)
	if err != nil {
		return placing(h.Name, err)
	}
	n, err := io.Copy(f, in)
	if err == nil && n != h.Size {
		err = io.ErrUnexpectedEOF
	}
	if err = errors.Join(err, f.Chmod(perm), f.Close()); err != nil {
		return fmt.Errorf("unpacking %q: %w", h.Name, err)
	}
	return nil
}

// unpackFolder makes a directory, or sets the mode of one that a file before it has brought. Its owner can always enter it: else nothing
// could be put into it or removed from it.
func unpackFolder(root *os.Root, name string, perm fs.FileMode) error {
	if err := root.MkdirAll(name, 0o700); err != nil {
		return placing(name, err)
	}
	if name == "." {
		return nil
	}
	return root.Chmod(name, perm|0o700)
}

// placing is why there is no room at name: something that the archive itself brought is in the way, or the host fails.
func placing(name string, err error) error {
	if errors.Is(err, fs.ErrExist) || errors.Is(err, syscall.ENOTDIR) {
		return fmt.Errorf("%w: %q comes twice, or below a file: %w", ErrUnsafe, name, err)
	}
	return fmt.Errorf("unpacking %q: %w", name, err)
}

// localName is the name of an entry relative to the directory it is unpacked in.
func localName(name string) (string, error) {
	clean := path.Clean(name)
	if strings.ContainsRune(name, 0) || path.IsAbs(name) || !filepath.IsLocal(clean) {
		return "", fmt.Errorf("%w: the path %q leads elsewhere", ErrUnsafe, name)
	}
	return clean, nil
}
