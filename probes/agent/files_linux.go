package agent

import (
	"errors"
	"io"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// openFlags open whatever it is without waiting and without getting a terminal.
const openFlags = unix.O_CLOEXEC | unix.O_NONBLOCK | unix.O_NOCTTY

// contents are the first bytes of a file, at most so many.
func contents(path string, most int) ([]byte, error) {
	fd, err := unix.Open(path, unix.O_RDONLY|openFlags, 0)
	if err != nil {
		return nil, err
	}
	defer func() { _ = unix.Close(fd) }()
	var b []byte
	for buf := make([]byte, min(most, 64<<10)); len(b) < most; {
		n, err := unix.Read(fd, buf[:min(len(buf), most-len(b))])
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil && len(b) == 0:
			return nil, err
		case err != nil || n == 0: // what came before the error is something
			return b, nil
		}
		b = append(b, buf[:n]...)
	}
	return b, nil
}

func readFile(v *sight) (err error) {
	v.verbatim, err = contents(v.Path, MaxReply)
	return err
}

// mostNames bounds the names of one directory. A package manager's has more than ten thousand.
const mostNames = 32 << 10

// entries are the names in a directory, and whether there are more.
func entries(dir string) ([]os.DirEntry, bool, error) {
	fd, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, false, err
	}
	f := os.NewFile(uintptr(fd), dir)
	defer func() { _ = f.Close() }()
	all, err := f.ReadDir(mostNames)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return all, len(all) == mostNames, err
}

func listNames(v *sight) error {
	all, more, err := entries(v.Path)
	v.cut = more
	for _, e := range all {
		name := e.Name()
		if e.Type()&os.ModeSymlink != 0 {
			if target, err := os.Readlink(filepath.Join(v.Path, name)); err == nil {
				name += " -> " + target
			}
		}
		v.add(name)
	}
	return err
}

// writeFile appends the nonce to a file that is there. To nothing but a plain file: a disk has a beginning that would be lost.
func writeFile(v *sight) error {
	var st unix.Stat_t
	if err := unix.Stat(v.Path, &st); err != nil {
		return err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		return unix.EINVAL
	}
	_, err := v.put(unix.O_APPEND)
	return err
}

// createFile makes the file, and takes it away again.
func createFile(v *sight) error {
	made, err := v.put(unix.O_CREAT | unix.O_EXCL)
	if made {
		_ = unix.Unlink(v.Path)
	}
	return err
}

// leaveFile makes the file, on the disk and not in memory alone.
func leaveFile(v *sight) error {
	_, err := v.put(unix.O_CREAT | unix.O_EXCL | unix.O_SYNC)
	return err
}

// put writes the nonce to the file that flags open, and reports whether they did. A file system may tell only when it is closed that it took
// nothing.
func (v *sight) put(flags int) (opened bool, err error) {
	fd, err := unix.Open(v.Path, unix.O_WRONLY|openFlags|flags, 0o600)
	if err != nil {
		return false, err
	}
	line := []byte(v.Nonce + "\n")
	n, err := unix.Write(fd, line)
	if err == nil && n < len(line) {
		err = unix.EIO
	}
	return true, errors.Join(err, unix.Close(fd))
}

// scratch are directories where a guest can usually make something.
var scratch = []string{"/tmp", "/var/tmp", "/dev/shm", "/run", "/dev", "/"}

// scratchName is the name of what is made in a directory and taken away again.
func (v *sight) scratchName(dir string) string { return filepath.Join(dir, ".bottle-"+string(v.Nonce)) }

// followLink reads through a link of its own. Where none can be planted nothing was tried, and that errno is not the target's.
func followLink(v *sight) error {
	var last error
	for _, dir := range scratch {
		name := v.scratchName(dir)
		if last = unix.Symlink(v.Path, name); last != nil {
			continue
		}
		defer func() { _ = unix.Unlink(name) }()
		var err error
		v.verbatim, err = contents(name, MaxReply)
		return err
	}
	return errors.New("agent: no link could be planted: " + last.Error())
}

// hardLink reads through a second name of its own, which no path leads back from. A file system gives a name only to what is its own.
func hardLink(v *sight) error {
	var st unix.Stat_t
	if err := unix.Lstat(v.Path, &st); err != nil {
		return err
	}
	var last error
	for _, dir := range append([]string{filepath.Dir(v.Path)}, scratch...) {
		name := v.scratchName(dir)
		if last = unix.Link(v.Path, name); last != nil {
			continue
		}
		defer func() { _ = unix.Unlink(name) }()
		var err error
		v.verbatim, err = contents(name, MaxReply)
		return err
	}
	return last
}
