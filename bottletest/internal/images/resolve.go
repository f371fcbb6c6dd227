package images

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
)

// resolveLimit bounds one question to a registry.
const resolveLimit = 30 * time.Second

// Resolve returns ref by its content, as it is now: repository@sha256:…. A reference that is one already is not asked about. The
// credentials are the ones of the container tools ($DOCKER_CONFIG, REGISTRY_AUTH_FILE), as for smolvm. An error is one line.
func Resolve(ctx context.Context, ref name.Reference) (name.Digest, error) {
	if d, ok := ref.(name.Digest); ok {
		return d, nil
	}
	ctx, cancel := context.WithTimeoutCause(ctx, resolveLimit, fmt.Errorf("%w: no answer within %s", context.DeadlineExceeded, resolveLimit))
	defer cancel()
	options := []remote.Option{remote.WithContext(ctx), remote.WithAuthFromKeychain(authn.DefaultKeychain)}
	found, err := remote.Head(ref, options...)
	if err == nil {
		return ref.Context().Digest(found.Digest.String()), nil
	}
	// Not every registry tells the digest without the manifest.
	whole, err := remote.Get(ref, options...)
	if err != nil {
		return name.Digest{}, refusal(ctx, ref, err)
	}
	return ref.Context().Digest(whole.Digest.String()), nil
}

// refusal says in one line what became of the question.
func refusal(ctx context.Context, ref name.Reference, err error) error {
	said, ok := errors.AsType[*transport.Error](err)
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("asking for %q: %w", ref.Name(), context.Cause(ctx))
	case ok && said.StatusCode == http.StatusNotFound:
		return fmt.Errorf("registry %q has no %q", ref.Context().RegistryStr(), ref.Name())
	case ok && (said.StatusCode == http.StatusUnauthorized || said.StatusCode == http.StatusForbidden):
		return fmt.Errorf("registry %q does not show %q to these credentials: there is none, or log in", ref.Context().RegistryStr(), ref.Name())
	}
	return fmt.Errorf("asking registry %q for %q: %s", ref.Context().RegistryStr(), ref.Name(), oneLine(err))
}
