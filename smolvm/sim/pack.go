//go:build linux

package sim

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// createFrom fills a new machine's record from a pack, which it unpacks.
func (s *session) createFrom(r *record, a arguments) error {
	path, err := filepath.Abs(a.one("from", ""))
	if err != nil {
		return configError("create from .smolmachine", "%w", err)
	}
	if _, err := os.Stat(path); err != nil {
		return configError("create from .smolmachine", "file not found: %s", a.one("from", ""))
	}
	s.say("Extracting .smolmachine assets...")
	p, err := openPackFile(path)
	if err != nil {
		return agentError("read .smolmachine", "%s: %w", path, err)
	}
	p.close()
	c, err := s.openPack(path)
	if err != nil {
		return err
	}
	r.Pack, r.Image, r.Content = path, p.Image, &c
	// A value equal to the default counts as unset (smolvm v0.8.0 machine.rs).
	if r.CPUs == defaultCPUs {
		r.CPUs = p.CPUs
	}
	if r.MemoryMiB == defaultMemoryMiB {
		r.MemoryMiB = p.MemoryMiB
	}
	r.Network = r.Network || p.Network
	return nil
}

// dropForPack is what create --from forgot up to 1.7.7: the whole egress policy, which then does not even turn the network on,
// and the working directory. With --net the machine is unrestricted.
func (s *session) dropForPack(r *record, a arguments) {
	if s.PackKeepsFlags {
		return
	}
	r.Policy, r.Allow, r.Hosts, r.Workdir = false, nil, nil, ""
	r.Network = a.has("net")
}

// openPack verifies a pack and unpacks its layers.
func (s *session) openPack(path string) (content, error) {
	p, err := openPackFile(path)
	if err != nil {
		return content{}, agentError("read .smolmachine", "%s: %w", path, err)
	}
	defer p.close()
	if err := s.verifyPack(p); err != nil {
		return content{}, agentError("extract sidecar", "%s: %w", path, err)
	}
	if s.PackArchChecked && p.Platform != hostPlatform() {
		return content{}, agentError("extract sidecar", "%s was built for %s, this host is %s", path, p.Platform, hostPlatform())
	}
	c := content{
		Bare: p.Mode == packVM, Digest: p.digest, Platform: p.Platform, Ownership: ownershipOf(!s.PackKeepsOwners),
		Env: p.Env, Workdir: p.Workdir, Entrypoint: p.Entrypoint, Cmd: p.Cmd,
	}
	for _, l := range p.Layers {
		open := func() (io.ReadCloser, error) { return p.open(l.entry()) }
		if err := s.layers().ensure(l.Digest, c.Ownership, open); err != nil {
			return content{}, agentError("extract sidecar", "%s: %w", path, err)
		}
		c.Layers, c.Size = append(c.Layers, l.Digest), c.Size+l.Size
	}
	return c, nil
}

// A verifiedPack remembers a file whose checksum was right. Nothing changes a file's content and not its change time.
type verifiedPack struct {
	Digest  string `json:"digest"`
	Device  uint64 `json:"device"`
	Inode   uint64 `json:"inode"`
	Size    int64  `json:"size"`
	Changed int64  `json:"changed"` // nanoseconds
}

// verifyPack verifies a pack unless this very file was verified before.
func (s *session) verifyPack(p *pack) error {
	info, err := p.file.Stat()
	if err != nil {
		return err
	}
	st := info.Sys().(*syscall.Stat_t)
	want := verifiedPack{p.digest, st.Dev, st.Ino, st.Size, st.Ctim.Nano()}
	note := filepath.Join(s.dirs.packs, fmt.Sprintf("%s-%d-%d", strings.TrimPrefix(p.digest, "sha256:"), st.Dev, st.Ino))
	var have verifiedPack
	if b, err := os.ReadFile(note); err == nil && json.Unmarshal(b, &have) == nil && have == want {
		return nil
	}
	if err := p.verify(); err != nil {
		return err
	}
	b, err := json.Marshal(want)
	if err == nil && os.MkdirAll(s.dirs.packs, 0o700) == nil {
		_ = os.WriteFile(note+".new", b, 0o600)
		_ = os.Rename(note+".new", note) // without the note the next one reads the file again
	}
	return nil
}
