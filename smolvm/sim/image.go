//go:build linux

package sim

import (
	"fmt"
	"io"
	"os"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// A content is what a machine's root holds below its own writable layer, and what an image says about its processes.
type content struct {
	Layers     []string  `json:"layers"` // digests of the layers' tars, the lowest first
	Ownership  ownership `json:"ownership"`
	Bare       bool      `json:"bare,omitempty"`   // the layers lie over the host's userland: a pack of a bare machine
	Digest     string    `json:"digest,omitempty"` // of the image's manifest, or of the pack
	Size       int64     `json:"size,omitempty"`   // of the layers as they were fetched, bytes
	Platform   string    `json:"platform,omitempty"`
	Env        []string  `json:"env,omitempty"`
	Workdir    string    `json:"workdir,omitempty"`
	User       string    `json:"user,omitempty"`
	Entrypoint []string  `json:"entrypoint,omitempty"`
	Cmd        []string  `json:"cmd,omitempty"`
}

// contained reports whether the machine's commands run in a container made of an image, not in the bare guest.
func (r record) contained() bool {
	if r.Content != nil {
		return !r.Content.Bare
	}
	return r.Image != "" || r.Pack != ""
}

// imageEnv and imageDir are an image's, under the machine's own and the command's.
func (r record) imageEnv() []string {
	if r.Content == nil {
		return nil
	}
	return r.Content.Env
}

func (r record) imageDir() string {
	if r.Workdir != "" || r.Content == nil {
		return r.Workdir
	}
	return r.Content.Workdir
}

// layerPaths are the unpacked layers of a machine, the lowest first.
func (s *session) layerPaths(c *content) []string {
	if c == nil {
		return nil
	}
	var out []string
	for _, digest := range c.Layers {
		out = append(out, s.layers().path(digest, c.Ownership))
	}
	return out
}

// unpacked reports whether every layer is in the store.
func (s *session) unpacked(c *content) bool {
	for _, dir := range s.layerPaths(c) {
		if _, err := os.Lstat(dir); err != nil {
			return false
		}
	}
	return c != nil
}

// provide makes sure that a machine about to start has its content, and records what it found out on the way. A machine whose
// layers are unpacked costs a look at each.
func (s *session) provide(m *machine) error {
	if m.Image == "" && m.Pack == "" {
		return nil
	}
	if m.Pack != "" {
		if _, err := os.Stat(m.Pack); err != nil {
			return agentError("start machine", "read sidecar: %s: %s", m.Pack, rustText(err))
		}
	}
	return s.layers().shared(func() error {
		if s.unpacked(m.Content) {
			return nil
		}
		c, err := s.fetch(m)
		if err != nil {
			return err
		}
		m.Content = &c
		return s.store().update(m.Name, func(r *record) { r.Content = m.Content })
	})
}

// fetch unpacks what a machine was created from.
func (s *session) fetch(m *machine) (content, error) {
	switch {
	case m.Pack != "":
		return s.openPack(m.Pack)
	case m.Archive != "":
		return s.importLocal(*m)
	default:
		return s.pull(m.record)
	}
}

// unpackImage unpacks an image's layers and reads its configuration.
func (s *session) unpackImage(img v1.Image) (content, error) {
	config, err := img.ConfigFile()
	if err != nil {
		return content{}, fmt.Errorf("read the image's configuration: %w", err)
	}
	layers, err := img.Layers()
	if err != nil {
		return content{}, err
	}
	c := contentOf(config)
	for _, layer := range layers {
		id, err := layer.DiffID()
		if err != nil {
			return content{}, err
		}
		open := func() (io.ReadCloser, error) { return layer.Uncompressed() }
		if err := s.layers().ensure(id.String(), c.Ownership, open); err != nil {
			return content{}, err
		}
		c.Layers = append(c.Layers, id.String())
		if size, err := layer.Size(); err == nil {
			c.Size += size
		}
	}
	if digest, err := img.Digest(); err == nil {
		c.Digest = digest.String()
	}
	return c, nil
}

// contentOf is what an image's configuration says.
func contentOf(config *v1.ConfigFile) content {
	return content{
		Ownership: ownershipOf(false), Platform: config.OS + "/" + config.Architecture,
		Env: environment(config.Config.Env), Workdir: config.Config.WorkingDir, User: config.Config.User,
		Entrypoint: config.Config.Entrypoint, Cmd: config.Config.Cmd,
	}
}
