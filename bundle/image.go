package bundle

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/client"

	"bottle.internal/internal/gobuild"
)

// imageMu lets one goroutine load at a time; between processes a double load is harmless.
var imageMu sync.Mutex

// Image makes sure that e has the default image and returns its reference. The image holds the static binary of
// cmd/bottle-bundle and nothing else; its tag is the hash of its content, so a warm call finds it by one question, and a
// changed source can never meet a stale image. It needs the go command only when the binary has to be built.
func Image(ctx context.Context, e Engine) (ref string, err error) {
	if e.OS != "linux" {
		return "", fmt.Errorf("bundle image: the engine at %s runs %q containers, linux is needed", e.Host, e.OS)
	}
	path, err := gobuild.Binary(ctx, gobuild.Target{Command: "bottle-bundle", GOOS: e.OS, GOARCH: e.Arch})
	if err != nil {
		return "", fmt.Errorf("bundle image: %w", err)
	}
	cli, err := newClient(e.Host)
	if err != nil {
		return "", fmt.Errorf("bundle image: %w", err)
	}
	defer cli.Close()
	imageMu.Lock()
	defer imageMu.Unlock()
	if ref, err = ensureImage(ctx, cli, e.Arch, path); err != nil {
		return "", fmt.Errorf("bundle image %q: %w", ref, err)
	}
	return ref, nil
}

// ImageID is the digest of the image's configuration by which e knows ref, such as "sha256:…": what differs in it differs in that.
func ImageID(ctx context.Context, e Engine, ref string) (string, error) {
	cli, err := newClient(e.Host)
	if err != nil {
		return "", fmt.Errorf("image %q: %w", ref, err)
	}
	defer cli.Close()
	image, err := cli.ImageInspect(ctx, ref)
	if err != nil {
		return "", fmt.Errorf("image %q: %w", ref, err)
	}
	return image.ID, nil
}

// refs are the references of binaries that this process has read, by path and architecture: a binary's path is its sources' own.
// imageMu guards it.
var refs = map[[2]string]string{}

// ensureImage asks before it loads: since Docker 28.1 loading what is there leaves a dangling duplicate (moby#53561).
func ensureImage(ctx context.Context, cli *client.Client, arch, path string) (ref string, err error) {
	key := [2]string{arch, path}
	if ref = refs[key]; ref != "" {
		if _, err := cli.ImageInspect(ctx, ref); err == nil || !errdefs.IsNotFound(err) {
			return ref, err
		}
	}
	bin, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	img := image{arch: arch, bin: bin}
	ref = img.ref()
	refs[key] = ref
	if _, err := cli.ImageInspect(ctx, ref); err == nil || !errdefs.IsNotFound(err) {
		return ref, err
	}
	return ref, load(ctx, cli, img)
}

func load(ctx context.Context, cli *client.Client, img image) error {
	resp, err := cli.ImageLoad(ctx, bytes.NewReader(img.archive()), client.ImageLoadWithQuiet(true))
	if err != nil {
		return fmt.Errorf("loading: %w", err)
	}
	defer resp.Close()
	if err := drain(resp); err != nil {
		return fmt.Errorf("loading: %w", err)
	}
	return nil
}

// drain reads an answer to its end. The engine reports errors inside the stream, after it has said 200.
func drain(r io.Reader) error {
	dec := json.NewDecoder(r)
	for {
		var m struct {
			Error string `json:"error"`
		}
		if err := dec.Decode(&m); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		if m.Error != "" {
			return errors.New(m.Error)
		}
	}
}
