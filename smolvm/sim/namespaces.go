//go:build linux

package sim

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// The range of host ids that guest ids are mapped to when the simulator runs as root: guest root owns nothing on the host.
const (
	guestIDs   = 100000
	guestRange = 65536
)

// privileged reports whether guest ids can be mapped to a range of their own: this process is root in a user namespace that
// has those ids and it may give mounts and network to a child.
func privileged() bool {
	return os.Geteuid() == 0 && capable(capSysAdmin) && capable(capSetUID) && mapped("/proc/self/uid_map") && mapped("/proc/self/gid_map")
}

// mapped reports whether an id map of this process covers the guest's range.
func mapped(path string) bool {
	b, err := os.ReadFile(path)
	if err != nil {
		return false
	}
	for line := range strings.Lines(string(b)) {
		var inside, outside, count uint64
		if _, err := fmt.Sscan(line, &inside, &outside, &count); err == nil && inside <= guestIDs && inside+count >= guestIDs+guestRange {
			return true
		}
	}
	return false
}

// helperAttributes put the helper into the guest's network namespace and a mount namespace. An unprivileged user needs a user
// namespace around both; the guest's own will be inside it, and so holds no capability over either.
func helperAttributes() *syscall.SysProcAttr {
	attr := &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	if privileged() {
		return attr
	}
	attr.Cloneflags |= syscall.CLONE_NEWUSER
	attr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Geteuid(), Size: 1}}
	attr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getegid(), Size: 1}}
	return attr
}

// initAttributes put pid 1 into the guest's own namespaces, as their root.
func initAttributes() *syscall.SysProcAttr {
	attr := &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWUSER | syscall.CLONE_NEWPID | syscall.CLONE_NEWNS | syscall.CLONE_NEWIPC |
			syscall.CLONE_NEWUTS | syscall.CLONE_NEWCGROUP,
		Credential: &syscall.Credential{NoSetGroups: true},
		Setsid:     true,
	}
	id, size := 0, 1
	if privileged() {
		id, size = guestIDs, guestRange
		attr.GidMappingsEnableSetgroups = true
		attr.Credential.NoSetGroups = false
	}
	attr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: id, Size: size}}
	attr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: id, Size: size}}
	return attr
}

// guestOwner is the id, as the helper sees it, that owns the guest's files.
func guestOwner() int {
	if privileged() {
		return guestIDs
	}
	return 0
}

// preflight finds what would only fail later, and with a worse text.
func preflight() error {
	if withCgo {
		return errors.New("smolvm-sim was built with cgo; build it with CGO_ENABLED=0")
	}
	info, err := os.Stat("/proc/self/exe")
	if err != nil {
		return fmt.Errorf("/proc is needed: %w", err)
	}
	if path, _ := os.Readlink("/proc/self/exe"); privileged() && info.Mode().Perm()&0o001 == 0 {
		return fmt.Errorf("guest root cannot execute the simulator: chmod o+x %s", path)
	}
	return nil
}

// namespaceSettings are what forbids user namespaces, each with its way out.
var namespaceSettings = []struct {
	path, bad, fix string
}{
	{"/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1", "sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0"},
	{"/proc/sys/kernel/unprivileged_userns_clone", "0", "sudo sysctl -w kernel.unprivileged_userns_clone=1"},
	{"/proc/sys/user/max_user_namespaces", "0", "sudo sysctl -w user.max_user_namespaces=15000"},
}

// refusals are how a kernel, an AppArmor profile or a container engine's /proc says no.
var refusals = []syscall.Errno{syscall.EPERM, syscall.EACCES, syscall.ENOSPC, syscall.EINVAL, syscall.EROFS}

// namespaceError explains a refused clone, mount, setting or capability in one line.
func namespaceError(err error) error {
	if !slices.ContainsFunc(refusals, func(errno syscall.Errno) bool { return errors.Is(err, errno) }) {
		return err
	}
	for _, s := range namespaceSettings {
		b, _ := os.ReadFile(s.path)
		if strings.TrimSpace(string(b)) == s.bad {
			return fmt.Errorf("user namespaces are refused on this host (%s is %s); allow them: %s: %w", s.path, strconv.Quote(s.bad), s.fix, err)
		}
	}
	return fmt.Errorf("namespaces are refused here; in a container, run it with --security-opt seccomp=unconfined "+
		"--security-opt systempaths=unconfined --device /dev/net/tun: %w", err)
}
