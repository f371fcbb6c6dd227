//go:build linux

package sim

import (
	"fmt"
	"io"
	"log"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// A volume is a directory of the host's in the guest.
type volume struct {
	Host     string `json:"host"`  // absolute
	Guest    string `json:"guest"` // absolute
	ReadOnly bool   `json:"read_only,omitempty"`
}

// volumes reads what -v takes: HOST:GUEST or HOST:GUEST:ro.
func volumes(specs []string) ([]volume, error) {
	var out []volume
	for _, spec := range specs {
		v, err := parseVolume(spec)
		if err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	return out, nil
}

func parseVolume(spec string) (volume, error) {
	parts := strings.Split(spec, ":")
	var v volume
	switch {
	case len(parts) == 3 && parts[2] == "ro":
		v.ReadOnly = true
	case len(parts) == 3 && parts[2] == "rw", len(parts) == 2:
	default:
		return v, configError("parse volume", "invalid volume '%s': expected HOST:GUEST[:ro]", spec)
	}
	if parts[0] == "" || !path.IsAbs(parts[1]) || path.Clean(parts[1]) == "/" {
		return v, configError("parse volume", "invalid volume '%s': the guest's path must be absolute and not '/'", spec)
	}
	host, err := filepath.Abs(parts[0])
	if err != nil {
		return v, configError("parse volume", "%w", err)
	}
	info, err := os.Stat(host)
	if err != nil {
		return v, &failure{text: "mount source not found: " + parts[0], err: err}
	}
	if !info.IsDir() {
		return v, configError("parse volume", "'%s' is not a directory", parts[0])
	}
	v.Host, v.Guest = host, path.Clean(parts[1])
	return v, nil
}

// A mountedVolume is a volume before it is at its place.
type mountedVolume struct {
	volume
	mount detached
}

// mountVolumes takes the host's directories while the host is in sight. A host's id k is the guest's k, as it is through smolvm's
// virtiofs; an ordinary user's own id is guest root's.
func (c rootConfig) mountVolumes() ([]mountedVolume, error) {
	if len(c.Volumes) == 0 {
		return nil, nil
	}
	users, err := guestUsers()
	if err != nil {
		return nil, err
	}
	defer users.Close()
	var out []mountedVolume
	for _, v := range c.Volumes {
		attributes := uint64(unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV)
		if v.ReadOnly {
			attributes |= unix.MOUNT_ATTR_RDONLY
		}
		d, err := cloneTree(v.Host, attributes)
		if err != nil {
			return nil, err
		}
		if users != nil {
			err := unix.MountSetattr(d.fd, "", unix.AT_EMPTY_PATH, &unix.MountAttr{Attr_set: unix.MOUNT_ATTR_IDMAP, Userns_fd: uint64(users.Fd())})
			if err != nil { // overlayfs, say
				log.Printf("volume %s: its file system maps no ids, so its files belong to nobody in the guest: %v", v.Host, err)
			}
		}
		out = append(out, mountedVolume{v, d})
	}
	return out, nil
}

// attachVolumes puts them at their places, which are made. Nobody runs in the guest yet.
func attachVolumes(root int, volumes []mountedVolume) error {
	if len(volumes) == 0 {
		return nil
	}
	own, err := unix.FcntlInt(uintptr(root), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return err
	}
	t := tree{root: own, last: -1, mounts: true}
	defer t.close()
	for _, v := range volumes {
		name := strings.TrimPrefix(v.Guest, "/")
		if _, err := t.directory(name, makeGuestDirectory); err != nil {
			return fmt.Errorf("volume %s: %w", v.Guest, err)
		}
		if err := v.mount.attachAt(root, name, unix.RESOLVE_IN_ROOT|unix.RESOLVE_NO_MAGICLINKS); err != nil {
			return fmt.Errorf("volume %s: %w", v.Guest, err)
		}
		t.forget()
	}
	return nil
}

func makeGuestDirectory(dir int, base string) error {
	if err := unix.Mkdirat(dir, base, 0o755); err != nil {
		return err
	}
	return unix.Fchownat(dir, base, guestOwner(), guestOwner(), unix.AT_SYMLINK_NOFOLLOW)
}

// guestUsers is a user namespace with the guest's id map, nil where the guest has this user's one id and needs no map.
func guestUsers() (*os.File, error) {
	if !privileged() {
		return nil, nil
	}
	hold, stdin, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer stdin.Close()
	cmd := &exec.Cmd{
		Path: "/proc/self/exe", Args: []string{"smolvm-sim", hiddenUsers}, Env: []string{}, Dir: "/", Stdin: hold,
		SysProcAttr: &syscall.SysProcAttr{
			Cloneflags:  syscall.CLONE_NEWUSER,
			UidMappings: initAttributes().UidMappings, GidMappings: initAttributes().GidMappings,
		},
	}
	err = cmd.Start()
	hold.Close()
	if err != nil {
		return nil, namespaceError(fmt.Errorf("a user namespace for volumes: %w", err))
	}
	defer func() { stdin.Close(); _ = cmd.Wait() }()
	return os.Open(fmt.Sprintf("/proc/%d/ns/user", cmd.Process.Pid))
}

// holdUsers is the hidden command _users: it is there until its stdin ends.
func holdUsers() int {
	_, _ = io.Copy(io.Discard, os.Stdin)
	return 0
}
