package killing

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/moby/moby/client"
	"github.com/testcontainers/testcontainers-go"

	"bottle.internal/internal/gobuild"
	"bottle.internal/probes/mutants"
	"bottle.internal/smolvm"
)

// mutate builds the bundle's program from edited sources and returns its path. The edits are laid over the sources: nothing in the
// tree changes.
func (r *runner) mutate(ctx context.Context, edits []mutants.Source) (string, error) {
	root, err := gobuild.ModuleDir(ctx)
	if err != nil {
		return "", err
	}
	text, err := json.Marshal(edits)
	if err != nil {
		return "", err
	}
	dir := filepath.Join(r.dir, fmt.Sprintf("bundle-%x", sha256.Sum256(text)))
	program := filepath.Join(dir, "bottle-bundle")
	r.building.Lock()
	defer r.building.Unlock()
	if fileExists(program) {
		return program, nil
	}
	if err := os.MkdirAll(dir, 0o755); err != nil { //nolint:gosec // nothing secret
		return "", err
	}
	over, err := overlay(root, dir, edits)
	if err != nil {
		return "", err
	}
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w", "-overlay="+over, "-o", program, "./cmd/bottle-bundle")
	cmd.Dir, cmd.Env = root, append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOWORK=off", "GOFLAGS=-mod=readonly")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("the edited bundle does not build: %w: %s", err, out)
	}
	return program, nil
}

// overlay writes the edited files into dir, and the list of them that go build reads.
func overlay(root, dir string, edits []mutants.Source) (string, error) {
	replace := map[string]string{}
	for _, e := range edits {
		file := filepath.Join(root, filepath.FromSlash(e.File))
		from := file
		if there := replace[file]; there != "" {
			from = there
		}
		text, err := os.ReadFile(from)
		if err != nil {
			return "", err
		}
		if n := strings.Count(string(text), e.Old); n != 1 {
			return "", fmt.Errorf("%s has %q %d times, want it once: the mutant is out of date", e.File, e.Old, n)
		}
		replace[file] = filepath.Join(dir, filepath.Base(file))
		if err := os.WriteFile(replace[file], []byte(strings.Replace(string(text), e.Old, e.New, 1)), 0o600); err != nil {
			return "", err
		}
	}
	text, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return "", err
	}
	list := filepath.Join(dir, "overlay.json")
	return list, os.WriteFile(list, text, 0o600)
}

// programEffect reads the program back out of the container.
func (r *runner) programEffect(ctx context.Context, cli *testcontainers.DockerClient, name string, edits []mutants.Source) (string, error) {
	program, err := r.mutate(ctx, edits)
	if err != nil {
		return "", err
	}
	want, err := os.ReadFile(program)
	if err != nil {
		return "", err
	}
	out, err := cli.CopyFromContainer(ctx, name, client.CopyFromContainerOptions{SourcePath: "/bottle-bundle"})
	if err != nil {
		return "", err
	}
	defer func() { _ = out.Content.Close() }()
	archive := tar.NewReader(out.Content)
	if _, err := archive.Next(); err != nil {
		return "", err
	}
	have, err := io.ReadAll(archive)
	if err != nil {
		return "", err
	}
	if !bytes.Equal(want, have) {
		return "", fmt.Errorf("the container runs another program than the one with %s edited", edits[0].File)
	}
	return fmt.Sprintf("the container runs the program with %s edited, byte for byte", edits[0].File), nil
}

// pack is a pack of the bare guest of a base, made once: it needs no registry.
func (r *runner) pack(ctx context.Context, on mutants.Base) (string, error) {
	path := filepath.Join(r.dir, "guest-"+on.Version)
	r.packing.Lock()
	defer r.packing.Unlock()
	if made := path + ".smolmachine"; fileExists(made) {
		return made, nil
	}
	b, err := r.launch(ctx, mutants.Edit{}, on, new(command))
	if err != nil {
		return "", err
	}
	machine := b.Plan().Machine
	err = b.Client().Stop(ctx, machine)
	if err == nil {
		path, err = b.Client().PackCreate(ctx, smolvm.PackOptions{FromMachine: machine, Output: path})
	}
	return path, errors.Join(err, b.Close(ctx))
}

func fileExists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
