//go:build linux

package sim

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"golang.org/x/sys/unix"
)

// A rootConfig is what a supervisor knows of the guest's root file system.
type rootConfig struct {
	Layers    []string `json:"layers,omitempty"`    // absolute directories, the lowest first
	Contained bool     `json:"contained,omitempty"` // the layers are an image and there is nothing of the host's
	Workdir   string   `json:"workdir,omitempty"`
	Volumes   []volume `json:"volumes,omitempty"`
}

func (s *session) rootConfig(r record) rootConfig {
	c := rootConfig{Layers: s.layerPaths(r.Content), Contained: r.contained(), Volumes: r.Volumes}
	if c.Contained {
		c.Workdir = r.imageDir()
	}
	return c
}

// imageDirectories are what a container's root has to have, with these modes where the image has them not.
var imageDirectories = []guestDirectory{{"dev", 0o755}, {"etc", 0o755}, {"proc", 0o555}, {"sys", 0o555}, {"workspace", 0o755}}

// layerLinks makes short names of the layers in the working directory and returns them, the highest first.
func (c rootConfig) layerLinks() ([]string, error) {
	if len(c.Layers) == 0 {
		return nil, nil
	}
	if err := os.RemoveAll(dirLayers); err != nil {
		return nil, err
	}
	if err := os.Mkdir(dirLayers, 0o700); err != nil {
		return nil, err
	}
	var out []string
	for i, dir := range c.Layers {
		link := filepath.Join(dirLayers, strconv.Itoa(i))
		if err := os.Symlink(dir, link); err != nil {
			return nil, err
		}
		out = append(out, link)
	}
	slices.Reverse(out)
	return out, nil
}

// mountRoot mounts the guest's root, detached, and makes it complete: the machine's own directory, over its layers if it has any.
func (c rootConfig) mountRoot(layers []string) (detached, error) {
	for _, d := range []string{dirRoot, dirRootWork, dirWork} {
		if err := os.Mkdir(d, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
			return detached{}, err
		}
	}
	if err := os.Lchown(dirRoot, guestOwner(), guestOwner()); err != nil {
		return detached{}, err
	}
	var mount detached
	var err error
	if len(layers) == 0 {
		mount, err = cloneTree(dirRoot, unix.MOUNT_ATTR_NODEV|unix.MOUNT_ATTR_NOSUID)
	} else {
		mount, err = overlay(layers, dirRoot, dirRootWork, true)
	}
	if err != nil {
		return detached{}, namespaceError(err)
	}
	root, err := os.OpenRoot(fmt.Sprintf("/proc/self/fd/%d", mount.fd))
	if err != nil {
		return detached{}, fmt.Errorf("open the guest's root: %w", err)
	}
	defer root.Close()
	return mount, prepareDisk(root, c.Contained)
}

// mountUsr mounts a bare guest's /usr: the host's, what a pack has of it, and what the guest changes.
func mountUsr(layers []string) (detached, error) {
	var lower []string
	for _, l := range layers {
		dir := filepath.Join(l, "usr")
		if info, err := os.Lstat(dir); err == nil && info.IsDir() {
			lower = append(lower, dir)
		}
	}
	return overlay(append(lower, "/usr"), dirUpper, dirWork, len(lower) > 0)
}
