package images

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/validate"
)

// TestServe pulls what was served as a client would, and from every form of archive.
func TestServe(t *testing.T) {
	img := image(t, arch)
	opened := must(Open(gzipped(t, dockerSave(t, img)), t.TempDir(), arch))(t)
	s := must(Serve(opened))(t)
	pulled := must(remote.Image(s.Reference))(t)
	if err := validate.Image(pulled); err != nil {
		t.Error(err)
	}
	if got, want := must(pulled.ConfigName())(t), must(img.ConfigName())(t); got != want {
		t.Errorf("pulled %s, want %s", got, want)
	}
	if !strings.HasPrefix(s.Reference.Name(), "localhost:") {
		t.Errorf("%s: pulled over plain http only where the name is one that needs no TLS", s.Reference)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if _, err := remote.Head(s.Reference); err == nil {
		t.Error("it serves after Close")
	}
}

// TestServedImageIsForThoseWhoKnowItsContent: the port is open to everybody on this host.
func TestServedImageIsForThoseWhoKnowItsContent(t *testing.T) {
	img := image(t, arch)
	s := must(Serve(img))(t)
	defer func() { _ = s.Close() }()
	if err := remote.Write(s.Reference.Context().Tag("mine"), image(t, arch)); err == nil {
		t.Error("it takes pushes")
	}
	other := image(t, arch)
	if err := remote.Put(s.Reference.Context().Digest(digestOf(t, other)), other); err == nil {
		t.Error("it takes a manifest under its digest")
	}
	elsewhere := must(name.NewRepository(s.Reference.RegistryStr() + "/other"))(t)
	if err := remote.Write(elsewhere.Tag("mine"), img); err == nil {
		t.Error("it takes pushes to another name")
	}
	for _, path := range []string{"/v2/_catalog", "/v2/bottle/tags/list", "/v2/bottle/manifests/latest", "/v2/other/tags/list", "/"} {
		resp := must(http.Get("http://" + s.Reference.RegistryStr() + path))(t)
		_ = resp.Body.Close()
		if resp.StatusCode != http.StatusNotFound {
			t.Errorf("%s: %s", path, resp.Status)
		}
	}
}

func TestResolve(t *testing.T) {
	server := httptest.NewServer(registry.New())
	defer server.Close()
	at := strings.TrimPrefix(server.URL, "http://")
	img := image(t, arch)
	ref := must(name.ParseReference(at + "/a/b:tag"))(t)
	if err := remote.Write(ref, img); err != nil {
		t.Fatal(err)
	}
	want := at + "/a/b@" + digestOf(t, img)
	if got, err := Resolve(t.Context(), ref); err != nil || got.Name() != want {
		t.Errorf("%s, %v; want %s", got, err, want)
	}
	missing := must(name.ParseReference(at + "/a/b:missing"))(t)
	if _, err := Resolve(t.Context(), missing); err == nil || !strings.Contains(err.Error(), "missing") || strings.Contains(err.Error(), "\n") {
		t.Errorf("what is not there: %v", err)
	}
	server.Close()
	if _, err := Resolve(t.Context(), ref); err == nil || strings.Contains(err.Error(), "\n") {
		t.Errorf("of a registry that is gone: %v", err)
	}
	fixed := must(name.ParseReference(want))(t)
	if got, err := Resolve(t.Context(), fixed); err != nil || got.Name() != want {
		t.Errorf("what names its content is asked about: %s, %v", got, err)
	}
}

// TestResolveWithoutHead: a registry that answers HEAD without a digest, or not at all, is asked for the manifest.
func TestResolveWithoutHead(t *testing.T) {
	inner := registry.New()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodHead && strings.Contains(r.URL.Path, "/manifests/") {
			http.Error(w, "", http.StatusMethodNotAllowed)
			return
		}
		inner.ServeHTTP(w, r)
	}))
	defer server.Close()
	img := image(t, arch)
	ref := must(name.ParseReference(strings.TrimPrefix(server.URL, "http://") + "/a:tag"))(t)
	if err := remote.Put(ref, img); err != nil {
		t.Fatal(err)
	}
	if got, err := Resolve(t.Context(), ref); err != nil || got.DigestStr() != digestOf(t, img) {
		t.Errorf("%s, %v", got, err)
	}
}

// TestRefusedCredentials are said as such.
func TestRefusedCredentials(t *testing.T) {
	t.Setenv("DOCKER_CONFIG", t.TempDir())
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("WWW-Authenticate", `Basic realm="x"`)
		w.WriteHeader(http.StatusUnauthorized)
	}))
	defer server.Close()
	ref := must(name.ParseReference(strings.TrimPrefix(server.URL, "http://") + "/a:tag"))(t)
	if _, err := Resolve(t.Context(), ref); err == nil || !strings.Contains(err.Error(), "log in") {
		t.Errorf("%v", err)
	}
}
