package target

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"io"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"

	"bottle.internal/bundle"
	"bottle.internal/internal/gobuild"
	"bottle.internal/probes"
)

// foreign is the other of the two architectures that agents are built for.
var foreign = map[string]string{"amd64": "arm64", "arm64": "amd64"}[runtime.GOARCH]

// foreignImage is an image that says it is for the foreign architecture and holds a program that is for program's.
func foreignImage(t *testing.T, program string) v1.Image {
	t.Helper()
	content, err := gobuild.Content(t.Context(), gobuild.Target{Command: "bottle-bundle", GOOS: "linux", GOARCH: program})
	if err != nil {
		t.Fatal(err)
	}
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	err = w.WriteHeader(&tar.Header{Name: "bottle-bundle", Mode: 0o755, Size: int64(len(content))})
	_, err2 := w.Write(content)
	if err := errors.Join(err, err2, w.Close()); err != nil {
		t.Fatal(err)
	}
	layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(archive.Bytes())), nil })
	if err != nil {
		t.Fatal(err)
	}
	img, err := mutate.AppendLayers(empty.Image, layer)
	if err != nil {
		t.Fatal(err)
	}
	config, err := img.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	config = config.DeepCopy()
	config.Architecture, config.OS, config.Config.Entrypoint = foreign, "linux", []string{"/bottle-bundle"}
	if img, err = mutate.ConfigFile(img, config); err != nil {
		t.Fatal(err)
	}
	return img
}

// foreignContainer makes a container of such an image. The program of it that runs may be none of that architecture's, as where an image is
// labelled wrongly or the engine has another one emulated.
func foreignContainer(t *testing.T, program string) (*client.Client, string) {
	t.Helper()
	engine, err := bundle.Detect(t.Context())
	if errors.Is(err, bundle.ErrNoEngine) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	cli, err := client.New(client.FromEnv, client.WithHost(engine.Host))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cli.Close() })
	tag, err := name.NewTag("bottle-test-foreign:" + program)
	if err != nil {
		t.Fatal(err)
	}
	var archive bytes.Buffer
	if err := tarball.Write(tag, foreignImage(t, program), &archive); err != nil {
		t.Fatal(err)
	}
	loaded, err := cli.ImageLoad(t.Context(), &archive)
	if err != nil {
		t.Fatal(err)
	}
	_, err = io.Copy(io.Discard, loaded)
	if err := errors.Join(err, loaded.Close()); err != nil {
		t.Fatal(err)
	}
	made, err := cli.ContainerCreate(t.Context(), client.ContainerCreateOptions{Image: tag.String()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_, err := cli.ContainerRemove(context.Background(), made.ID, client.ContainerRemoveOptions{Force: true})
		_, err2 := cli.ImageRemove(context.Background(), tag.String(), client.ImageRemoveOptions{})
		if err := errors.Join(err, err2); err != nil {
			t.Error(err)
		}
	})
	return cli, made.ID
}

// An image that says it is for another architecture than what runs in it costs a try, and what was tried is not left there.
func TestContainerOfAnotherArchitecture(t *testing.T) {
	cli, id := foreignContainer(t, runtime.GOARCH)
	if _, err := cli.ContainerStart(t.Context(), id, client.ContainerStartOptions{}); err != nil {
		t.Fatal(err)
	}
	s, err := Container(t.Context(), id, options(t))
	if err != nil {
		t.Fatal(err)
	}
	if f := verdict(t, s, canaryID); f.Verdict != probes.Leak || !strings.Contains(s.Way(), runtime.GOARCH) {
		t.Errorf("%s: %s", s.Way(), f)
	}
	if err := s.Close(t.Context()); err != nil {
		t.Error(err)
	}
	nothingLeft(t, cli, id)
}

// A container whose program this host cannot run has ended, and that is said in one line.
func TestContainerThatCannotStart(t *testing.T) {
	cli, id := foreignContainer(t, foreign)
	wait := cli.ContainerWait(t.Context(), id, client.ContainerWaitOptions{Condition: container.WaitConditionNextExit})
	if _, err := cli.ContainerStart(t.Context(), id, client.ContainerStartOptions{}); err == nil { // some engines say so at once
		select {
		case <-wait.Result:
		case err := <-wait.Error:
			t.Fatal(err)
		case <-time.After(5 * time.Second):
			t.Skip("this engine runs the other architecture")
		}
	}
	s, err := Container(t.Context(), id, options(t))
	if s != nil || err == nil || !strings.Contains(err.Error(), "is not running") || strings.Contains(err.Error(), "\n") {
		t.Errorf("%v, %v", s, err)
	}
}
