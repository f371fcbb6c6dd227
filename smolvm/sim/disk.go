//go:build linux

package sim

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

// The machine's disk is its own directories: dirRoot, the guest's root, or what the guest changed of it where it lies over layers;
// dirUpper, what a bare guest changed below /usr; dirRootWork and dirWork, overlayfs's own. The guest owns what is in them and may have replaced anything by a symbolic link, so the host's side touches
// them through an os.Root alone.

// A guestDirectory is one that a root has to have.
type guestDirectory struct {
	path string
	mode os.FileMode
}

// guestDirectories exist in every bare root, with these modes.
var guestDirectories = []guestDirectory{
	{"dev", 0o755}, {"etc", 0o755}, {"home", 0o755}, {"mnt", 0o755}, {"opt", 0o755}, {"proc", 0o555}, {"root", 0o700},
	{"run", 0o755}, {"srv", 0o755}, {"sys", 0o555}, {"tmp", 0o777 | os.ModeSticky}, {"usr", 0o755}, {"var", 0o755},
	{"var/cache", 0o755}, {"var/lib", 0o755}, {"var/log", 0o755}, {"var/tmp", 0o777 | os.ModeSticky}, {"workspace", 0o755},
}

// hostConfiguration is what of the host's /etc its userland needs; bound read-only where the host has it.
var hostConfiguration = []string{
	"etc/alternatives", "etc/ca-certificates", "etc/ld.so.cache", "etc/ld.so.conf", "etc/ld.so.conf.d", "etc/pki/tls", "etc/protocols",
	"etc/services", "etc/ssl",
}

// topLevel are the directories of a merged /usr; on a host where they are real ones they are bound read-only.
var topLevel = []string{"bin", "sbin", "lib", "lib32", "lib64", "libx32"}

// A disk is the machine's root, being made complete for a boot. The directories next to it are relative to the machine's, which
// is the working directory.
type disk struct {
	root  *os.Root
	owner int
}

// prepareDisk makes the disk, or mends what the guest removed of what a boot needs. An image is left as it is but for what is
// mounted or written in it.
func prepareDisk(root *os.Root, contained bool) error {
	d := disk{root: root, owner: guestOwner()}
	directories := guestDirectories
	if contained {
		directories = imageDirectories
	}
	for _, dir := range directories {
		if err := d.directory(dir.path, dir.mode); err != nil {
			return fmt.Errorf("disk: %w", err)
		}
	}
	if contained {
		return nil
	}
	for _, name := range append(hostConfiguration, topLevel...) {
		if err := d.place(name); err != nil {
			return fmt.Errorf("disk: %w", err)
		}
	}
	return prepareUpper(d.owner)
}

// directory makes path and its parents where they are missing.
func (d disk) directory(path string, mode os.FileMode) error {
	if parent := filepath.Dir(path); parent != "." {
		if err := d.directory(parent, 0o755); err != nil {
			return err
		}
	}
	err := d.root.Mkdir(path, 0o700)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := d.root.Chmod(path, mode); err != nil {
		return err
	}
	return d.root.Lchown(path, d.owner, d.owner)
}

// place makes what the host's file of that name will be bound on, or the same symbolic link.
func (d disk) place(name string) error {
	info, err := os.Lstat("/" + name)
	if err != nil {
		return nil //nolint:nilerr // the host has none
	}
	if _, err := d.root.Lstat(name); err == nil {
		return nil
	}
	switch {
	case info.IsDir():
		return d.directory(name, 0o755)
	case info.Mode()&fs.ModeSymlink != 0:
		target, err := os.Readlink("/" + name)
		if err != nil {
			return err
		}
		if err := d.root.Symlink(target, name); err != nil {
			return err
		}
	default:
		f, err := d.root.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
		if err != nil {
			return err
		}
		_ = f.Close()
	}
	return d.root.Lchown(name, d.owner, d.owner)
}

// shallow are directories of /usr whose own subdirectories stay the host's: there are hundreds, each would cost a directory at
// the machine's first start, and what a guest installs there it puts next to them.
var shallow = []string{"include", "share", "src"}

// prepareUpper gives the guest the directories of the top two levels of /usr: the host's root owns those below, and is nobody in
// the guest, so without this guest root could create no file in them.
func prepareUpper(owner int) error {
	if _, err := os.Lstat(dirUpper); err == nil {
		return nil
	}
	building := dirUpper + ".new"
	if err := os.RemoveAll(building); err != nil {
		return err
	}
	if err := mirror("/usr", building, owner, 2); err != nil {
		return fmt.Errorf("disk: %w", err)
	}
	return os.Rename(building, dirUpper)
}

// mirror makes dir with the mode of the host's and, to the given depth, its subdirectories.
func mirror(host, dir string, owner, depth int) error {
	info, err := os.Lstat(host)
	if err != nil {
		return err
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	if slices.Contains(shallow, filepath.Base(host)) {
		depth = 0
	}
	if depth > 0 {
		if err := mirrorBelow(host, dir, owner, depth-1); err != nil {
			return err
		}
	}
	if err := os.Chmod(dir, info.Mode().Perm()|info.Mode()&os.ModeSticky); err != nil {
		return err
	}
	return os.Lchown(dir, owner, owner)
}

func mirrorBelow(host, dir string, owner, depth int) error {
	entries, err := os.ReadDir(host)
	if err != nil && !errors.Is(err, fs.ErrPermission) {
		return err
	}
	for _, e := range entries {
		if !e.IsDir() {
			continue
		}
		if err := mirror(filepath.Join(host, e.Name()), filepath.Join(dir, e.Name()), owner, depth); err != nil {
			return err
		}
	}
	return nil
}
