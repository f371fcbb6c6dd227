package images

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// A Server is a registry on this host's loopback that holds one image and lets it be pulled by its content. Others on this host can reach
// the port; who does not know the digest can neither list nor pull, and nobody can push. The name does not change from one time to the
// next, for smolvm keeps it in the pack: a pack of the same image stays the same file.
type Server struct {
	// Reference is the image's: localhost:PORT/bottle@sha256:….
	Reference name.Digest

	http   *http.Server
	served chan error
}

// Serve serves img until Close. The name is "localhost": go-containerregistry, which pulls in smolvm's guest, speaks plain http to
// that name without being told, and no release of smolvm has a flag to tell it. `pack create` pulls over TSI in every release, whose
// guest reaches the host's loopback by it (smolvm v0.8.0 tests/test_pack.sh packs from localhost:5051).
func Serve(img v1.Image) (*Server, error) {
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("a registry on the loopback: %w", err)
	}
	_, port, _ := net.SplitHostPort(listener.Addr().String())
	handler := registry.New(registry.Logger(log.New(io.Discard, "", 0)), registry.WithBlobHandler(blobs{img}))
	s := &Server{served: make(chan error, 1), http: &http.Server{
		Handler: byContent(handler), ReadHeaderTimeout: 10 * time.Second, ErrorLog: log.New(io.Discard, "", 0),
	}}
	if s.Reference, err = announce(handler, img, "localhost:"+port+"/"+repository); err != nil {
		return nil, errors.Join(fmt.Errorf("a registry on the loopback: %w", err), listener.Close())
	}
	go func() { s.served <- s.http.Serve(listener) }()
	return s, nil
}

// Close ends the registry, with every pull under way.
func (s *Server) Close() error {
	err := s.http.Close()
	if served := <-s.served; !errors.Is(served, http.ErrServerClosed) {
		err = errors.Join(err, served)
	}
	return err
}

// announce puts the image's manifest into the registry, without a connection: the port takes no pushes.
func announce(handler http.Handler, img v1.Image, repository string) (name.Digest, error) {
	digest, err := img.Digest()
	if err != nil {
		return name.Digest{}, err
	}
	ref, err := name.NewDigest(repository + "@" + digest.String())
	if err != nil {
		return name.Digest{}, err
	}
	return ref, remote.Put(ref, img, remote.WithTransport(within{handler}))
}

// within is a transport that asks a handler of this process.
type within struct{ handler http.Handler }

func (w within) RoundTrip(r *http.Request) (*http.Response, error) {
	answer := httptest.NewRecorder()
	w.handler.ServeHTTP(answer, r)
	resp := answer.Result()
	resp.Request = r
	return resp, nil
}

// repository is what the image is called in the registry.
const repository = "bottle"

// byContent lets through the version check and what is read by its digest.
func byContent(handler http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		reads := r.Method == http.MethodGet || r.Method == http.MethodHead
		named := false
		for _, kind := range []string{"manifests", "blobs"} {
			named = named || strings.HasPrefix(r.URL.Path, "/v2/"+repository+"/"+kind+"/sha256:")
		}
		if !reads || !named && r.URL.Path != "/v2/" {
			http.NotFound(w, r)
			return
		}
		handler.ServeHTTP(w, r)
	})
}

// blobs are the layers and the config of an image, read where they lie.
type blobs struct{ img v1.Image }

func (b blobs) Stat(_ context.Context, _ string, h v1.Hash) (int64, error) {
	layer, err := b.layer(h)
	if err != nil {
		return 0, err
	}
	return layer.Size()
}

func (b blobs) Get(_ context.Context, _ string, h v1.Hash) (io.ReadCloser, error) {
	layer, err := b.layer(h)
	if err != nil {
		return nil, err
	}
	return layer.Compressed()
}

func (b blobs) layer(h v1.Hash) (v1.Layer, error) {
	if config, err := b.img.ConfigName(); err == nil && config == h {
		return partial.ConfigLayer(b.img)
	}
	layer, err := b.img.LayerByDigest(h)
	if err != nil {
		return nil, registry.ErrNotFound
	}
	return layer, nil
}
