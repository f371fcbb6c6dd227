//go:build linux

package sim

import (
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// A packing is one pack create.
type packing struct {
	*session
	manifest
	output string
	layers []source
}

func runPackCreate(s *session, g grammar, a arguments) (int, error) {
	p := &packing{session: s, output: a.one("output", "")}
	p.Format, p.Network = packFormat, false // the manifest's network is a Smolfile's alone (smolvm v0.8.0 pack.rs)
	var err error
	if p.CPUs, err = count(g, a, "cpus", defaultCPUs); err != nil {
		return 0, err
	}
	if p.MemoryMiB, err = count(g, a, "mem", defaultMemoryMiB); err != nil {
		return 0, err
	}
	switch {
	case a.has("image") && a.has("from-vm"):
		return 0, g.fail("the argument '--image <IMAGE>' cannot be used with '--from-vm <NAME>'")
	case !a.has("image") && !a.has("from-vm"):
		return 0, configError("pack create", "either --image or --from-vm is required")
	case s.PackRefusesSuffix && strings.HasSuffix(p.output, packSuffix):
		return 0, configError("pack create", "output '%s' must not end in %s: the stub is written there and the data next to it", p.output, packSuffix)
	}
	if a.has("image") {
		err = p.fromImage(a.one("image", ""), a.one("oci-platform", ""))
	} else {
		err = p.fromMachine(a.one("from-vm", ""))
	}
	if err != nil {
		return 0, err
	}
	if a.has("entrypoint") {
		p.Entrypoint = strings.Fields(a.one("entrypoint", ""))
	}
	return 0, p.write()
}

// fromImage packs an image of a registry's. smolvm pulls it in a machine with an unrestricted network.
func (p *packing) fromImage(ref, platform string) error {
	if err := checkReference(ref); err != nil {
		return configError("pack create", "%w", err)
	}
	if platform != "" {
		if _, err := v1.ParsePlatform(platform); err != nil {
			return configError("pack create", "--oci-platform: %w", err)
		}
	}
	p.say("Starting agent VM...")
	p.note("Pulling %s...", ref)
	img, err := p.fetchImage(ref, platform, func(netip.Addr) bool { return true })
	if err != nil {
		return pullError(ref, "%w", err)
	}
	config, err := img.ConfigFile()
	if err != nil {
		return pullError(ref, "%w", err)
	}
	c := contentOf(config)
	p.Mode, p.Image, p.Platform = packContainer, withoutRegistry(ref), c.Platform
	p.Env, p.Workdir, p.Entrypoint, p.Cmd = c.Env, c.Workdir, c.Entrypoint, c.Cmd
	if digest, err := img.Digest(); err == nil {
		p.Digest = digest.String()
	}
	size, _ := img.Size()
	layers, err := img.Layers()
	if err != nil {
		return pullError(ref, "%w", err)
	}
	p.say("Image: %s (%d layers, %d bytes)", ref, len(layers), size)
	return p.addImageLayers(layers)
}

// withoutRegistry is an image's repository and tag: where it was pulled from does not change what it is.
func withoutRegistry(ref string) string {
	parsed, err := name.ParseReference(ref)
	if err != nil {
		return ref
	}
	sep := ":"
	if _, ok := parsed.(name.Digest); ok {
		sep = "@"
	}
	return parsed.Context().RepositoryStr() + sep + parsed.Identifier()
}

func (p *packing) addImageLayers(layers []v1.Layer) error {
	for i, l := range layers {
		if err := p.add(func() (io.ReadCloser, error) { return l.Uncompressed() }); err != nil {
			return agentError("collect layers", "%w", err)
		}
		p.say("  Layer %d/%d: %s... done", i+1, len(layers), p.Layers[len(p.Layers)-1].Digest[:19])
	}
	return nil
}

func (p *packing) add(open source) error {
	l, err := measure(open)
	if err != nil {
		return err
	}
	p.Layers, p.layers = append(p.Layers, l), append(p.layers, open)
	return nil
}

// write writes the stub and the data next to it.
func (p *packing) write() error {
	sidecar := p.output + packSuffix
	digest, err := writePack(sidecar, p.manifest, p.layers)
	if err != nil {
		return agentError("pack binary", "%w", err)
	}
	self, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return agentError("pack binary", "%w", err)
	}
	stub := fmt.Sprintf("#!/bin/sh\nexec '%s' pack run --sidecar \"$0%s\" \"$@\"\n", strings.ReplaceAll(self, "'", `'\''`), packSuffix)
	if err := replaceFile(p.output, []byte(stub), 0o755); err != nil {
		return agentError("pack binary", "%w", err)
	}
	info, err := os.Stat(sidecar)
	if err != nil {
		return agentError("pack binary", "%w", err)
	}
	p.say("Packed: %s (stub: %dKB, total: %dKB)", p.output, len(stub)>>10, (info.Size()+int64(len(stub)))>>10)
	p.say("Assets: %s (%dKB compressed)", sidecar, info.Size()>>10)
	p.say("Checksum: %s", digest)
	p.say("\nRun with: %s", p.output)
	p.say("Note: Keep the .smolmachine file alongside the binary")
	p.say("Options: --help for usage")
	return nil
}

// replaceFile writes a file that is complete or not there.
func replaceFile(path string, text []byte, mode os.FileMode) error {
	tmp, err := os.CreateTemp(filepath.Dir(path), ".stub-")
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name())
	_, err = tmp.Write(text)
	if err2 := tmp.Chmod(mode); err == nil {
		err = err2
	}
	if err2 := tmp.Close(); err == nil {
		err = err2
	}
	if err != nil {
		return err
	}
	return os.Rename(tmp.Name(), path)
}
