package bundle

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"time"
)

const (
	repository = "bottle.internal/bundle"
	program    = "/bottle-bundle"
	epoch      = "1970-01-01T00:00:00Z"
	// unprivileged is the daemons' user and group: the ports are above 1024, nothing is written.
	unprivileged = "65532:65532"
)

// An image is one static binary as a container image, reproducible to the byte.
type image struct {
	arch string // GOARCH
	bin  []byte
}

// config has no EXPOSE: testcontainers publishes every port an image exposes.
func (image) config() map[string]any {
	return map[string]any{
		"Entrypoint": []string{program},
		"Env":        []string{"PATH=/"},
		"User":       unprivileged,
		"StopSignal": "SIGTERM",
		"Labels":     map[string]string{"internal.bottle.image": "bundle"},
	}
}

// ref names the image by what is in it.
func (i image) ref() string {
	h := sha256.New()
	h.Write(i.bin)
	_ = json.NewEncoder(h).Encode([]any{i.arch, i.config()}) // maps of strings: cannot fail
	return repository + ":" + hex.EncodeToString(h.Sum(nil))[:16]
}

// archive is what `docker save` would write: the layout that every engine loads, the containerd store included.
func (i image) archive() []byte {
	layer := tarOf(file{name: program[1:], mode: 0o755, body: i.bin})
	diffID := sum(layer)
	config, _ := json.Marshal(map[string]any{
		"architecture": i.arch, "os": "linux", "created": epoch, "config": i.config(),
		"rootfs":  map[string]any{"type": "layers", "diff_ids": []string{"sha256:" + diffID}},
		"history": []any{map[string]string{"created": epoch, "created_by": repository}},
	})
	configName, layerName := sum(config)+".json", diffID+"/layer.tar"
	manifest, _ := json.Marshal([]any{map[string]any{
		"Config": configName, "RepoTags": []string{i.ref()}, "Layers": []string{layerName},
	}})
	return tarOf(
		file{configName, 0o644, config},
		file{layerName, 0o644, layer},
		file{"manifest.json", 0o644, manifest},
	)
}

type file struct {
	name string
	mode int64
	body []byte
}

func tarOf(files ...file) []byte {
	var buf bytes.Buffer
	w := tar.NewWriter(&buf) // into memory: cannot fail
	for _, f := range files {
		_ = w.WriteHeader(&tar.Header{
			Name: f.name, Mode: f.mode, Size: int64(len(f.body)), Typeflag: tar.TypeReg, ModTime: time.Unix(0, 0), Format: tar.FormatPAX,
		})
		_, _ = w.Write(f.body)
	}
	_ = w.Close()
	return buf.Bytes()
}

func sum(b []byte) string {
	s := sha256.Sum256(b)
	return hex.EncodeToString(s[:])
}
