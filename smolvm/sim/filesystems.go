//go:build linux

package sim

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// ownSystems are the file systems of the guest's own while they are mounted nowhere: /proc can only be made while the host's is
// in sight, and the devices are only to be had from the host's /dev.
type ownSystems struct {
	proc, dev, pts, shm, run detached
	devices                  []detached // in the order of guestDevices
}

// guestDevices are the host's devices that a guest may open.
var guestDevices = []string{"full", "null", "random", "tty", "urandom", "zero"}

var deviceLinks = map[string]string{
	"fd": "/proc/self/fd", "stdin": "/proc/self/fd/0", "stdout": "/proc/self/fd/1", "stderr": "/proc/self/fd/2", "ptmx": "pts/ptmx",
}

const quiet = unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV

func ownFileSystems() (ownSystems, error) {
	var own ownSystems
	for _, fs := range []struct {
		into       *detached
		kind       string
		attributes int
		settings   []setting
	}{
		{&own.proc, "proc", quiet | unix.MOUNT_ATTR_NOEXEC, nil},
		{&own.dev, "tmpfs", unix.MOUNT_ATTR_NOSUID, []setting{{"mode", "0755"}, {"size", "64k"}}},
		{&own.pts, "devpts", unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NOEXEC, []setting{{"ptmxmode", "0666"}, {"mode", "0620"}}},
		{&own.shm, "tmpfs", quiet, []setting{{"mode", "1777"}, {"size", "64m"}}},
		{&own.run, "tmpfs", quiet, []setting{{"mode", "0755"}, {"size", "64m"}}},
	} {
		d, err := newFileSystem(fs.kind, fs.attributes, fs.settings...)
		if err != nil {
			return own, namespaceError(err)
		}
		*fs.into = d
	}
	for _, name := range guestDevices {
		d, err := cloneTree("/dev/"+name, 0)
		if err != nil {
			return own, err
		}
		own.devices = append(own.devices, d)
	}
	return own, nil
}

// mount attaches them to the root, which is the guest's by now. A container keeps its image's /run.
func (own ownSystems) mount(contained bool) error {
	root, err := unix.Open("/", unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(root)
	if err := own.proc.attach(root, "proc"); err != nil {
		return err
	}
	if err := own.dev.attach(root, "dev"); err != nil {
		return err
	}
	for _, dir := range []string{"/dev/pts", "/dev/shm"} {
		if err := os.Mkdir(dir, 0o755); err != nil {
			return err
		}
	}
	if err := own.mountDevices(root); err != nil {
		return err
	}
	if err := own.pts.attach(root, "dev/pts"); err != nil {
		return err
	}
	if err := own.shm.attach(root, "dev/shm"); err != nil {
		return err
	}
	if !contained {
		if err := own.run.attach(root, "run"); err != nil {
			return err
		}
		if err := os.MkdirAll("/run/lock", 0o755); err != nil {
			return err
		}
	}
	return protectSettings(root)
}

func (own ownSystems) mountDevices(root int) error {
	for i, d := range own.devices {
		name := guestDevices[i]
		f, err := os.Create("/dev/" + name)
		if err != nil {
			return err
		}
		_ = f.Close()
		if err := d.attach(root, "dev/"+name); err != nil {
			return err
		}
	}
	for name, target := range deviceLinks {
		if err := os.Symlink(target, "/dev/"+name); err != nil {
			return err
		}
	}
	return nil
}

// protectSettings makes /proc/sys read-only. An unprivileged user's guest root has the id that owns its network namespace, and
// kernels differ in whether that id may write the network's settings without a capability.
func protectSettings(root int) error {
	tree, err := cloneTree("/proc/sys", unix.MOUNT_ATTR_RDONLY|quiet|unix.MOUNT_ATTR_NOEXEC)
	if err != nil {
		return fmt.Errorf("protect /proc/sys: %w", err)
	}
	return tree.attach(root, "proc/sys")
}
