package bundle

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"path"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"bottle.internal/internal/enginetest"
)

func TestArchiveIsReproducibleAndComplete(t *testing.T) {
	img := image{arch: "arm64", bin: []byte("\x7fELF…")}
	if !bytes.Equal(img.archive(), img.archive()) {
		t.Error("two archives of the same differ")
	}
	files := map[string][]byte{}
	r := tar.NewReader(bytes.NewReader(img.archive()))
	for {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		files[h.Name], _ = io.ReadAll(r)
	}
	var manifest []struct {
		Config           string
		RepoTags, Layers []string
	}
	if err := json.Unmarshal(files["manifest.json"], &manifest); err != nil || len(manifest) != 1 || len(manifest[0].Layers) != 1 {
		t.Fatalf("manifest %s: %v", files["manifest.json"], err)
	}
	m := manifest[0]
	if m.RepoTags[0] != img.ref() || !strings.HasPrefix(img.ref(), "bottle.internal/bundle:") {
		t.Errorf("tag %q, ref %q", m.RepoTags, img.ref())
	}
	var config struct {
		Architecture string
		Config       struct {
			User, StopSignal string
			Entrypoint       []string
			ExposedPorts     map[string]any
		}
		Rootfs struct {
			DiffIDs []string `json:"diff_ids"`
		}
	}
	if err := json.Unmarshal(files[m.Config], &config); err != nil {
		t.Fatal(err)
	}
	if config.Architecture != "arm64" || config.Config.StopSignal != "SIGTERM" || config.Config.User == "" || config.Config.ExposedPorts != nil {
		t.Errorf("config %+v", config)
	}
	if got, want := config.Rootfs.DiffIDs[0], "sha256:"+sum(files[m.Layers[0]]); got != want {
		t.Errorf("diff id %s, want %s", got, want)
	}
}

func TestRefFollowsTheContent(t *testing.T) {
	a, b, c := image{"amd64", []byte("a")}, image{"amd64", []byte("b")}, image{"arm64", []byte("a")}
	if a.ref() == b.ref() || a.ref() == c.ref() || a.ref() != (image{"amd64", []byte("a")}).ref() {
		t.Error("the tag does not follow the content")
	}
}

func TestDrainFindsTheError(t *testing.T) {
	if err := drain(strings.NewReader(`{"stream":"ok"}` + "\n" + `{"error":"no space"}`)); err == nil || err.Error() != "no space" {
		t.Errorf("got %v", err)
	}
	if err := drain(strings.NewReader(`{"stream":"ok"}`)); err != nil {
		t.Error(err)
	}
	if err := drain(strings.NewReader(`{"stre`)); err == nil {
		t.Error("a cut stream passes")
	}
}

// TestWarmImage counts what the engine is asked: an image that is there costs one look, and is not sent again.
func TestWarmImage(t *testing.T) {
	e := engine(t)
	first := defaultImage(t)
	var asked []string
	var mu sync.Mutex
	e.Host = enginetest.Proxy(t, e.Host, func(_ http.ResponseWriter, r *http.Request) bool {
		mu.Lock()
		defer mu.Unlock()
		asked = append(asked, r.Method+" "+path.Base(r.URL.Path))
		return false
	})
	begin := time.Now()
	ref, err := Image(t.Context(), e)
	t.Logf("warm Image: %s", time.Since(begin).Round(time.Microsecond))
	if err != nil || ref != first {
		t.Fatalf("%s, %v; want %s", ref, err, first)
	}
	asked = slices.DeleteFunc(asked, func(call string) bool { return strings.HasSuffix(call, " _ping") })
	if !slices.Equal(asked, []string{"GET json"}) {
		t.Errorf("the engine was asked %q for a warm image, want one look at it", asked)
	}
}
