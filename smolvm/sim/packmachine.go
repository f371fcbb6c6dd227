//go:build linux

package sim

import (
	"archive/tar"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
	"syscall"
)

// fromMachine packs what a stopped machine was made from and what it changed since.
func (p *packing) fromMachine(vm string) error {
	m, err := p.load(vm)
	if isNotFound(err, vm) {
		return agentError("pack from VM", "VM '%s' not found", vm)
	}
	if err != nil {
		return err
	}
	if strings.HasPrefix(m.Image, "local:") {
		return agentError("pack from VM", "VM '%s' was created from a local image (%s): only a machine of a registry image can be packed", vm, m.Image)
	}
	lock, err := p.freeze(m)
	if err != nil {
		return err
	}
	defer lock.close()
	p.say("Packing VM '%s' snapshot...", vm)
	p.Platform, p.Mode = hostPlatform(), packVM
	if m.contained() {
		p.Mode = packContainer
	}
	if err := p.addBase(m); err != nil {
		return agentError("pack from VM", "%w", err)
	}
	if err := p.addChanges(m); err != nil {
		return agentError("pack from VM", "%w", err)
	}
	p.say("  Layers: %d", len(p.Layers))
	return nil
}

// freeze keeps a machine from being started while it is packed.
func (p *packing) freeze(m machine) (vmLock, error) {
	running := agentError("pack from VM", "VM '%s' is running. Stop it first with: smolvm machine stop --name %s", m.Name, m.Name)
	if m.state() == stateRunning {
		return vmLock{}, running
	}
	lock, err := openLock(m.file(fileLock))
	if err != nil {
		return vmLock{}, agentError("pack from VM", "overlay disk not found in %s. The VM may not have been started yet.", m.dir)
	}
	if free, err := lock.try(); err != nil || !free {
		lock.close()
		return vmLock{}, running
	}
	return lock, nil
}

// addBase adds the layers below the machine's own, from the pack or the image it was made of.
func (p *packing) addBase(m machine) error {
	if m.Content == nil {
		return nil
	}
	c := m.Content
	p.Image, p.Platform = m.Image, c.Platform
	p.Env, p.Workdir, p.Entrypoint, p.Cmd = c.Env, c.Workdir, c.Entrypoint, c.Cmd
	if m.Pack != "" {
		from, err := openPackFile(m.Pack)
		if err != nil {
			return fmt.Errorf("%s: %w", m.Pack, err)
		}
		p.Digest = from.Digest
		for _, l := range from.Layers {
			if err := p.add(func() (io.ReadCloser, error) { return from.open(l.entry()) }); err != nil {
				return err
			}
		}
		return nil // the file stays open for the second reading
	}
	p.Image, p.Digest = withoutRegistry(m.Image), c.Digest
	img, err := p.kept(c.Digest)
	if err != nil {
		return err
	}
	layers, err := img.Layers()
	if err != nil {
		return err
	}
	return p.addImageLayers(layers)
}

// addChanges adds what the machine itself wrote.
func (p *packing) addChanges(m machine) error {
	if _, err := os.Stat(m.file(dirRoot)); err != nil && !m.contained() {
		return fmt.Errorf("overlay disk not found in %s. The VM may not have been started yet", m.dir)
	}
	return p.add(func() (io.ReadCloser, error) {
		r, w := io.Pipe()
		go func() { w.CloseWithError(m.writeChanges(w)) }()
		return r, nil
	})
}

// writeChanges writes the machine's own files as a layer.
func (m machine) writeChanges(w io.Writer) error {
	tw := tar.NewWriter(w)
	lw := layerWriter{tar: tw, shifted: privileged(), skip: m.unchanged, links: map[[2]uint64]string{}}
	for _, part := range []struct{ dir, prefix string }{{dirRoot, ""}, {dirUpper, "usr"}} {
		if _, err := os.Lstat(m.file(part.dir)); err != nil {
			continue
		}
		if err := lw.tree(m.file(part.dir), part.prefix); err != nil {
			return err
		}
	}
	return tw.Close()
}

// everyBoot are the files that pid 1 writes at each start.
var everyBoot = []string{"etc/hostname", "etc/hosts", "etc/resolv.conf"}

// unchanged leaves out what every machine has anyway, so that what is packed is what the guest did.
func (m machine) unchanged(name string, d fs.DirEntry, st *syscall.Stat_t) verdict {
	if slices.Contains(everyBoot, name) {
		return skipTree
	}
	switch {
	case m.contained():
		return takeEntry
	case slices.Contains(append(hostConfiguration, topLevel...), name):
		return skipTree
	case d.IsDir() && asMade(name, st):
		return skipEntry
	}
	return takeEntry
}

// asMade reports whether a directory of a bare machine's is as prepareDisk made it.
func asMade(name string, st *syscall.Stat_t) bool {
	if int(st.Uid) != guestOwnerOnHost() || int(st.Gid) != guestOwnerOnHost() && privileged() {
		return false
	}
	mode := fs.FileMode(st.Mode & 0o7777)
	for _, dir := range guestDirectories {
		if dir.path == name {
			want := dir.mode.Perm()
			if dir.mode&os.ModeSticky != 0 {
				want |= 0o1000
			}
			return mode == want
		}
	}
	if !strings.HasPrefix(name, "usr/") {
		return false
	}
	info, err := os.Lstat("/" + name)
	return err == nil && info.IsDir() && info.Mode().Perm() == mode.Perm()
}

// guestOwnerOnHost is the id that the guest's files have outside any namespace.
func guestOwnerOnHost() int {
	if privileged() {
		return guestIDs
	}
	return os.Geteuid()
}
