//go:build linux

package sim

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// Mounts are made detached and then attached to a descriptor of their place: a path could lead through a symbolic link of the
// guest's making to anywhere on the host.

// A detached mount, not yet in any tree.
type detached struct{ fd int }

func (d detached) close() { _ = unix.Close(d.fd) }

// cloneTree takes a copy of the mount at path, without what is mounted below it, with attributes added. Paths are those of
// the calling process.
func cloneTree(path string, attributes uint64) (detached, error) {
	fd, err := unix.OpenTree(unix.AT_FDCWD, path, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
	if err != nil {
		return detached{}, fmt.Errorf("clone the mount of %q: %w", path, err)
	}
	if attributes == 0 {
		return detached{fd}, nil
	}
	err = unix.MountSetattr(fd, "", unix.AT_EMPTY_PATH, &unix.MountAttr{Attr_set: attributes})
	if err != nil {
		_ = unix.Close(fd)
		return detached{}, fmt.Errorf("restrict the mount of %q: %w", path, err)
	}
	return detached{fd}, nil
}

// A setting of a new file system; without a value it is a flag.
type setting struct{ key, value string }

// newFileSystem makes a file system of the given type.
func newFileSystem(kind string, attributes int, settings ...setting) (detached, error) {
	fs, err := unix.Fsopen(kind, unix.FSOPEN_CLOEXEC)
	if err != nil {
		return detached{}, fmt.Errorf("new %s: %w", kind, err)
	}
	defer unix.Close(fs)
	for _, s := range settings {
		if s.value == "" {
			err = unix.FsconfigSetFlag(fs, s.key)
		} else {
			err = unix.FsconfigSetString(fs, s.key, s.value)
		}
		if err != nil {
			return detached{}, fmt.Errorf("new %s: %s=%s: %w%s", kind, s.key, s.value, err, kernelSays(fs))
		}
	}
	if err := unix.FsconfigCreate(fs); err != nil {
		return detached{}, fmt.Errorf("new %s: %w%s", kind, err, kernelSays(fs))
	}
	fd, err := unix.Fsmount(fs, unix.FSMOUNT_CLOEXEC, attributes)
	if err != nil {
		return detached{}, fmt.Errorf("mount %s: %w%s", kind, err, kernelSays(fs))
	}
	return detached{fd}, nil
}

// kernelSays is what the kernel logged for a file system being made.
func kernelSays(fs int) string {
	buf := make([]byte, 1024)
	n, err := unix.Read(fs, buf)
	if err != nil || n <= 0 {
		return ""
	}
	return " (" + string(bytes.TrimSpace(buf[:n])) + ")"
}

// attach puts the mount at name below the directory dir, following no symbolic link, and closes it.
func (d detached) attach(dir int, name string) error {
	return d.attachAt(dir, name, unix.RESOLVE_BENEATH|unix.RESOLVE_NO_SYMLINKS)
}

func (d detached) attachAt(dir int, name string, resolve uint64) error {
	defer d.close()
	how := unix.OpenHow{Flags: unix.O_PATH | unix.O_CLOEXEC, Resolve: resolve}
	target, err := unix.Openat2(dir, name, &how)
	if err != nil {
		return fmt.Errorf("mount on %q of the guest: %w", name, err)
	}
	defer unix.Close(target)
	if err := unix.MoveMount(d.fd, "", target, "", unix.MOVE_MOUNT_F_EMPTY_PATH|unix.MOVE_MOUNT_T_EMPTY_PATH); err != nil {
		return fmt.Errorf("mount on %q of the guest: %w", name, err)
	}
	return nil
}

// overlay mounts directories on one another: the lowest last, upper and work the machine's own. All are relative to the working
// directory: the guest can read the options in /proc/mounts. Layers carry the attributes of unprivileged overlays.
func overlay(lower []string, upper, work string, layered bool) (detached, error) {
	settings := []setting{{"upperdir", upper}, {"workdir", work}}
	if layered || !privileged() {
		settings = append(settings, setting{key: "userxattr"})
	}
	each := slices.Clone(settings)
	for _, dir := range lower {
		each = append(each, setting{"lowerdir+", dir})
	}
	d, err := newFileSystem("overlay", unix.MOUNT_ATTR_NODEV|unix.MOUNT_ATTR_NOSUID, each...)
	if err != nil { // lowerdir+ is Linux 6.8's; the old option holds 255 bytes
		d, err = newFileSystem("overlay", unix.MOUNT_ATTR_NODEV|unix.MOUNT_ATTR_NOSUID, append(settings, setting{"lowerdir", strings.Join(lower, ":")})...)
	}
	if errors.Is(err, syscall.EINVAL) || errors.Is(err, syscall.EOPNOTSUPP) {
		dir, _ := os.Getwd()
		return d, fmt.Errorf("the file system of %q cannot be the upper layer of an overlay; set XDG_CACHE_HOME to a directory on ext4, xfs, btrfs or tmpfs: %w", dir, err)
	}
	return d, err
}
