package bundle

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/testcontainers/testcontainers-go"

	"bottle.internal/bundle/internal/wire"
	"bottle.internal/internal/echo"
)

// CanaryName is what canaries call themselves in echoes and sightings.
const CanaryName = wire.Canary

// A Place is somewhere a bundle runs that is no container: all that is needed is that programs can be run there.
type Place struct {
	// Program is where /bottle-bundle of the image is to be found there.
	Program string
	// Exec runs argv there, without a shell, and returns its standard output. A non-zero exit is an error with what it said.
	Exec func(ctx context.Context, argv ...string) ([]byte, error)
	// Log returns all that the supervisor has logged.
	Log func(ctx context.Context) ([]byte, error)
}

// A Remote is a bundle in a Place: what a Container is asked, asked there. It keeps a canary up beside its daemons. It is safe
// for concurrent use if its Place is.
type Remote struct {
	place    Place
	settings settings
}

// NewRemote describes a bundle in p with a canary at port canary. What is open to the network, the canary and every daemon that
// an option does not bind to an address, listens on what open makes of its port. opts are Run's; one that is about a container
// is an error. Nothing is started: Settings goes to `bottle-bundle start` there.
func NewRemote(p Place, canary uint16, open func(port uint16) netip.AddrPort, opts ...testcontainers.ContainerCustomizer) (*Remote, error) {
	for _, o := range opts {
		if _, ok := o.(Option); !ok {
			return nil, fmt.Errorf("remote bundle: %T is about a container, and there is none", o)
		}
	}
	s, err := newSettings(opts)
	if err != nil {
		return nil, fmt.Errorf("remote bundle: %w", err)
	}
	if s.network != nil || s.publish != nil || s.canaries != nil || s.canary.IsValid() || s.hosts != nil {
		return nil, errors.New("remote bundle: WithNetwork, WithPublish, WithHost, WithCanary and WithCanaryPorts are about a container, and there is none")
	}
	for name, at := range s.listen {
		if at.Addr().IsUnspecified() {
			s.listen[name] = open(at.Port())
		}
	}
	s.canary = open(canary)
	return &Remote{place: p, settings: s}, nil
}

// RecallRemote describes the bundle in p from the settings it was started with.
func RecallRemote(p Place, text []byte) (*Remote, error) {
	s, err := newSettings(nil)
	if err != nil {
		return nil, err
	}
	for line := range strings.Lines(string(text)) {
		if err := s.recall(strings.TrimSpace(line)); err != nil {
			return nil, fmt.Errorf("remote bundle: %w", err)
		}
	}
	if !s.canary.IsValid() {
		return nil, errors.New("remote bundle: its settings name no canary")
	}
	return &Remote{place: p, settings: s}, nil
}

// Settings is the file that `bottle-bundle start --settings` reads. It holds the secret.
func (r *Remote) Settings() []byte {
	env := r.settings.env()
	var b strings.Builder
	for _, key := range slices.Sorted(maps.Keys(env)) {
		fmt.Fprintf(&b, "%s=%s\n", key, env[key])
	}
	return []byte(b.String())
}

// Daemons are the names given to WithDaemons.
func (r *Remote) Daemons() []string { return slices.Clone(r.settings.daemons) }

// Secret verifies the proofs in the echoes of this bundle's daemons and its canary. It must never reach a guest.
func (r *Remote) Secret() echo.Secret { return r.settings.secret }

// Canary is where its canary listens, there.
func (r *Remote) Canary() netip.AddrPort { return r.settings.canary }

// Listeners is what listens there now.
func (r *Remote) Listeners(ctx context.Context) ([]Listener, error) {
	out, err := r.place.Exec(ctx, r.place.Program, "listeners", "-o", "json")
	if err != nil {
		return nil, err
	}
	var ls []Listener
	if err := json.Unmarshal(out, &ls); err != nil {
		return nil, fmt.Errorf("reading the listeners: %w", err)
	}
	return ls, nil
}

// Echo dials addr from there and has n echoed. Whose echo it was, the holder of the canary's secret can tell.
func (r *Remote) Echo(ctx context.Context, addr netip.AddrPort, n echo.Nonce) (echo.Reply, error) {
	out, err := r.place.Exec(ctx, r.place.Program, "dial", addr.String(), string(n))
	if err != nil {
		return echo.Reply{}, err
	}
	return echo.ParseResponse(out)
}

// Sightings are the echoes that the daemons, and the canary under its name, have answered so far, oldest first. It misses none
// that was answered before the call: each is asked for one more, as Container.Sightings does. An error says that the sightings
// returned with it may lack some.
func (r *Remote) Sightings(ctx context.Context) ([]echo.Sighting, error) {
	marks, asked := r.mark(ctx)
	return beside(ctx, marks, asked, r.place.Log)
}

// mark asks everything that answers echoes for one and returns the nonces.
func (r *Remote) mark(ctx context.Context) ([]echo.Nonce, error) {
	argv := []string{r.place.Program, "dial"}
	var marks []echo.Nonce
	for _, at := range r.settings.echoing() {
		marks = append(marks, echo.NewNonce())
		argv = append(argv, wire.FromInside(at).String(), string(marks[len(marks)-1]))
	}
	if _, err := r.place.Exec(ctx, argv...); err != nil {
		return marks, fmt.Errorf("sightings may be incomplete: %w", err)
	}
	return marks, nil
}
