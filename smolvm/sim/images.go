//go:build linux

package sim

import (
	"cmp"
	"path/filepath"
	"slices"
	"strings"

	"github.com/gofrs/flock"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/match"
	"golang.org/x/sys/unix"
)

// An imageReport is one image of machine images --json.
type imageReport struct {
	Reference    string   `json:"reference"`
	Digest       string   `json:"digest"`
	Size         int64    `json:"size"` // bytes
	OS           string   `json:"os"`
	Architecture string   `json:"architecture"`
	LayerCount   int      `json:"layer_count"`
	Layers       []string `json:"layers"`
}

// runImages lists what a machine has pulled. Here that is known without booting it.
func runImages(s *session, _ grammar, a arguments) (int, error) {
	m, err := s.load(a.one("name", defaultName))
	if err != nil {
		return 0, err
	}
	list := []imageReport{}
	if c := m.Content; c != nil && m.Image != "" && m.Pack == "" {
		os, arch, _ := strings.Cut(c.Platform, "/")
		list = append(list, imageReport{m.Image, c.Digest, c.Size, os, arch, len(c.Layers), c.Layers})
	}
	if a.has("json") {
		return 0, s.sayJSON(list)
	}
	if len(list) == 0 {
		s.say("No images found")
		return 0, nil
	}
	s.say("%-40s %-20s %8s %12s", "REFERENCE", "DIGEST", "LAYERS", "SIZE")
	for _, i := range list {
		s.say("%-40s %-20s %8d %10dKB", i.Reference, i.Digest[:min(19, len(i.Digest))], i.LayerCount, i.Size>>10)
	}
	return 0, nil
}

// runPrune removes the layers that no machine uses, with --all the pulled images, too.
func runPrune(s *session, _ grammar, a arguments) (int, error) {
	if _, err := s.load(a.one("name", defaultName)); err != nil {
		return 0, err
	}
	return 0, s.prune(a.has("dry-run"), a.has("all"), 0)
}

// prune removes unused layers but the keep newest, and with all every unused image.
func (s *session) prune(dry, all bool, keep int) error {
	return s.layers().locked((*flock.Flock).Lock, func() error {
		used, images, err := s.used()
		if err != nil {
			return err
		}
		unused, err := s.layers().unused(used)
		if err != nil {
			return databaseError("list layers", err)
		}
		for _, name := range unused[min(keep, len(unused)):] {
			s.say("%s layer %s", map[bool]string{true: "Would remove", false: "Removed"}[dry], name[:min(12, len(name))])
			if dry {
				continue
			}
			if err := removeTree(filepath.Join(s.dirs.layers, name)); err != nil {
				return agentError("prune", "%w", err)
			}
		}
		if !all || dry {
			return nil
		}
		return s.pruneImages(images)
	})
}

// used are the names of the layers and the digests of the images that records need.
func (s *session) used() (layers, images map[string]bool, err error) {
	records, err := s.store().list()
	if err != nil {
		return nil, nil, err
	}
	layers, images = map[string]bool{}, map[string]bool{}
	for _, r := range records {
		for _, p := range s.layerPaths(r.Content) {
			layers[filepath.Base(p)] = true
		}
		if r.Content != nil {
			images[r.Content.Digest] = true
		}
	}
	return layers, images, nil
}

// unused are the unpacked layers that nobody needs, the newest first.
func (st layerStore) unused(used map[string]bool) ([]string, error) {
	names, err := st.list()
	if err != nil {
		return nil, err
	}
	names = slices.DeleteFunc(names, func(n string) bool { return used[n] })
	age := func(name string) int64 {
		var stat unix.Stat_t
		_ = unix.Lstat(filepath.Join(st.dir, name), &stat) // its other times are the layer's
		return stat.Ctim.Nano()
	}
	slices.SortFunc(names, func(a, b string) int { return cmp.Compare(age(b), age(a)) })
	return names, nil
}

// pruneImages removes the pulled images that no machine was made of.
func (s *session) pruneImages(used map[string]bool) error {
	path, err := layout.FromPath(s.dirs.images)
	if err != nil {
		return nil //nolint:nilerr // nothing was pulled yet
	}
	index, err := path.ImageIndex()
	if err != nil {
		return agentError("prune", "%w", err)
	}
	manifest, err := index.IndexManifest()
	if err != nil {
		return agentError("prune", "%w", err)
	}
	for _, d := range manifest.Manifests {
		if used[d.Digest.String()] {
			continue
		}
		s.say("Removed image %s", d.Digest.String()[:19])
		if err := path.RemoveDescriptors(match.Digests(d.Digest)); err != nil {
			return agentError("prune", "%w", err)
		}
	}
	garbage, err := path.GarbageCollect()
	if err != nil {
		return agentError("prune", "%w", err)
	}
	for _, h := range garbage {
		if err := path.RemoveBlob(h); err != nil {
			return agentError("prune", "%w", err)
		}
	}
	return nil
}
