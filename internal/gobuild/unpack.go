package gobuild

import (
	"errors"
	"os"
	"path/filepath"
)

// whole reports whether path is a file that can be run and whose sum is want.
func whole(path, want string) bool {
	if info, err := os.Lstat(path); err != nil || !info.Mode().IsRegular() || info.Mode().Perm() != unpackedMode {
		return false
	}
	b, err := os.ReadFile(path)
	return err == nil && sum(b) == want
}

// unpackedMode is the mode of what was unpacked: guests and containers run it as whoever they are, and nobody but its owner writes it.
const unpackedMode = 0o755

// unpack writes path atomically, over whatever file is there: whoever finds it finds it whole.
func unpack(path string, content []byte) error {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, ".new-")
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	err = errors.Join(err, f.Chmod(unpackedMode), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}
