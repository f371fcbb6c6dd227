//go:build linux

package sim

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"

	"bottle.internal/smolvm/sim/vnet"
	"golang.org/x/sys/unix"
)

// stagingRoot is where the guest's root is put together, below a tmpfs that only this machine's mount namespaces have. /tmp is
// there on every host and guest root can walk to it; the machine's own directory may be below a private home.
const (
	staging     = "/tmp"
	stagingRoot = "/tmp/root"
)

// help is the hidden command _helper. It runs in the guest's network namespace and a mount namespace of its own, with
// capabilities over both, does what needs them, starts pid 1 in the guest's own namespaces, and ends.
func help() int {
	runtime.LockOSThread()
	channel, err := connOf(os.NewFile(fdChannel, "channel"))
	if err != nil {
		return 1
	}
	defer channel.Close()
	if err := (helper{channel: channel}).run(); err != nil {
		_ = send(channel, helperReport{Error: err.Error()})
		return 1
	}
	return 0
}

type helper struct{ channel *net.UnixConn }

func (h helper) run() error {
	var config bootConfig
	if _, err := receive(h.channel, &config); err != nil {
		return err
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return namespaceError(fmt.Errorf("make mounts private: %w", err))
	}
	if err := h.network(config.Network); err != nil {
		return err
	}
	host, err := hostTree(config.Faults)
	if err != nil {
		return err
	}
	if err := assemble(config.Root); err != nil {
		return err
	}
	if host != nil {
		if err := mountHost(*host); err != nil {
			return err
		}
	}
	pid, err := startInit()
	if err != nil {
		return err
	}
	return send(h.channel, helperReport{Init: pid})
}

// network sets the guest's interfaces up and sends what the supervisor needs to serve them.
func (h helper) network(config *vnet.Config) error {
	if err := openLowPorts(); err != nil {
		return err
	}
	if config == nil {
		if err := loopbackUp(); err != nil {
			return err
		}
		return send(h.channel, helperReport{})
	}
	files, err := vnet.Prepare(*config)
	if err != nil {
		return err
	}
	defer closeAll(files)
	if config.Backend == vnet.VirtioNet {
		if err := openPings(); err != nil {
			return err
		}
	}
	return send(h.channel, helperReport{}, files...)
}

// openLowPorts lets the guest listen on ports below 1024: it holds no capability over its network namespace.
func openLowPorts() error {
	const path = "/proc/sys/net/ipv4/ip_unprivileged_port_start"
	if err := os.WriteFile(path, []byte("0"), 0); err != nil {
		return namespaceError(fmt.Errorf("open the guest's low ports: %w", err))
	}
	return nil
}

// openPings lets the guest ping: smolvm's root does by raw sockets, for which this one has no capability. All groups may, or the only one
// that there is.
func openPings() error {
	const path = "/proc/sys/net/ipv4/ping_group_range"
	err := os.WriteFile(path, []byte("0 2147483647"), 0)
	if errors.Is(err, unix.EINVAL) {
		err = os.WriteFile(path, []byte("0 0"), 0)
	}
	if err != nil {
		return namespaceError(fmt.Errorf("let the guest ping: %w", err))
	}
	return nil
}

func loopbackUp() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("loopback: %w", err)
	}
	defer unix.Close(fd)
	request, err := unix.NewIfreq("lo")
	if err != nil {
		return fmt.Errorf("loopback: %w", err)
	}
	request.SetUint16(unix.IFF_UP)
	if err := unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, request); err != nil {
		return fmt.Errorf("loopback: %w", err)
	}
	return nil
}

// assemble mounts the guest's root at stagingRoot.
func assemble(c rootConfig) error {
	layers, err := c.layerLinks()
	if err != nil {
		return err
	}
	disk, err := c.mountRoot(layers)
	if err != nil {
		return err
	}
	volumes, err := c.mountVolumes()
	if err != nil {
		return err
	}
	if c.Contained {
		return stage(disk, nil, volumes)
	}
	usr, err := mountUsr(layers)
	if err != nil {
		return err
	}
	return stage(disk, &usr, volumes)
}

// stage attaches the guest's mounts. usr is nil for a container, whose image has its own.
func stage(disk detached, usr *detached, volumes []mountedVolume) error {
	if err := unix.Mount("tmpfs", staging, "tmpfs", 0, "mode=0755,size=1m"); err != nil {
		return namespaceError(fmt.Errorf("mount a staging area: %w", err))
	}
	if err := os.Mkdir(stagingRoot, 0o755); err != nil {
		return err
	}
	stage, err := unix.Open(staging, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(stage)
	if err := disk.attach(stage, filepath.Base(stagingRoot)); err != nil {
		return err
	}
	root, err := unix.Open(stagingRoot, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(root)
	if usr != nil {
		if err := usr.attach(root, "usr"); err != nil {
			return err
		}
		if err := bindHost(root); err != nil {
			return err
		}
	}
	return attachVolumes(root, volumes)
}

// bindHost binds what of the host the guest may read.
func bindHost(root int) error {
	for _, name := range append(hostConfiguration, topLevel...) {
		info, err := os.Lstat("/" + name)
		if err != nil || !info.IsDir() && !info.Mode().IsRegular() {
			continue // absent, or a symbolic link that the guest has too
		}
		tree, err := cloneTree("/"+name, unix.MOUNT_ATTR_RDONLY|unix.MOUNT_ATTR_NOSUID|unix.MOUNT_ATTR_NODEV)
		if err != nil {
			return err
		}
		if err := tree.attach(root, name); err != nil {
			return err
		}
	}
	return nil
}

// hostTree is the host's root with all that is mounted in it, for faultHostMount; nil without.
func hostTree(f faults) (*detached, error) {
	if !f.has(faultHostMount) {
		return nil, nil
	}
	fd, err := unix.OpenTree(unix.AT_FDCWD, "/", unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|unix.AT_RECURSIVE)
	if err != nil {
		return nil, namespaceError(fmt.Errorf("clone the host's root: %w", err))
	}
	readOnly := unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY | unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV}
	if err := unix.MountSetattr(fd, "", unix.AT_EMPTY_PATH|unix.AT_RECURSIVE, &readOnly); err != nil {
		_ = unix.Close(fd)
		return nil, namespaceError(fmt.Errorf("make the host's root read-only: %w", err))
	}
	return &detached{fd}, nil
}

// mountHost puts the host's root at the guest's /mnt.
func mountHost(tree detached) error {
	root, err := unix.Open(stagingRoot, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(root)
	return tree.attach(root, "mnt")
}

// startInit starts pid 1 of the guest, which this process's end hands over to the supervisor.
func startInit() (int, error) {
	env, files := machineEnvironment(os.NewFile(fdInit, "init"), os.NewFile(fdListener, "listener"))
	cmd := &exec.Cmd{
		Path: "/proc/self/exe", Args: []string{"smolvm-sim", hiddenInit}, Env: env, Dir: "/",
		Stdout: os.Stdout, Stderr: os.Stderr,
		ExtraFiles:  files,
		SysProcAttr: initAttributes(),
	}
	if err := cmd.Start(); err != nil {
		return 0, namespaceError(fmt.Errorf("start pid 1 of the guest: %w", err))
	}
	return cmd.Process.Pid, nil
}
