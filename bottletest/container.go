package bottletest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"

	"github.com/testcontainers/testcontainers-go"

	"bottle.internal/bundle"
	"bottle.internal/internal/echo"
)

// containerSidecar runs the bundle in a container.
type containerSidecar struct {
	cfg    Config
	secret echo.Secret

	engine bundle.Engine
	image  string
	slug   string
	net    *bundle.Network
	ctr    *bundle.Container
	late   bool // ctr starts before its network is there
}

func (s *containerSidecar) use(*guestEngine) {}

func (s *containerSidecar) prepare(ctx context.Context) (err error) {
	if s.engine, err = bundle.Detect(ctx); err != nil {
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	s.engine.Configure()
	return nil
}

func (s *containerSidecar) planNetwork(ctx context.Context, slug string, labels map[string]string, taken []netip.Prefix) (netip.Prefix, error) {
	s.slug = slug
	n, err := bundle.PlanNetwork(ctx, bundle.NetworkOptions{Name: resourceName(slug), Labels: labels, Avoid: taken})
	if err != nil {
		return netip.Prefix{}, err
	}
	s.net = n
	return n.Subnet, nil
}

func (s *containerSidecar) createNetwork(ctx context.Context) error { return s.net.Create(ctx) }

func (s *containerSidecar) removeNetwork(ctx context.Context) error {
	if s.net != nil && s.net.ID != "" {
		return s.net.Remove(ctx)
	}
	return bundle.RemoveNetworks(ctx, s.slug) // of a creation that was cut off
}

// create has the image ready and makes the container; one that can join its network later is started as well. An engine that wants the
// network first refuses, and start makes the container then.
func (s *containerSidecar) create(ctx context.Context, p Plan, labels map[string]string) (err error) {
	if s.image = s.cfg.BundleImage; s.image == "" {
		if s.image, err = bundle.Image(ctx, s.engine); err != nil {
			return err
		}
	}
	s.late = s.joinsLate(p)
	s.ctr, err = bundle.Create(ctx, s.image, s.options(p, labels)...)
	if err != nil && ctx.Err() == nil && (s.ctr == nil || s.late) {
		return s.again(ctx, err)
	}
	if err == nil && s.late {
		err = s.ctr.Up(ctx)
	}
	return err
}

// again has the container created after its network, by start.
func (s *containerSidecar) again(ctx context.Context, why error) error {
	s.cfg.logf("the container will be created after its network: %v", why)
	err := s.ctr.Remove(ctx)
	s.ctr, s.late = nil, false
	return err
}

// joinsLate reports whether the container may start while its network is being made. Ours may: its daemons are bound to no address of
// that network, and want nothing of it by themselves. Of another image that is not known, other options may say something about
// networks too, and what is published belongs to the network that a container starts on.
func (s *containerSidecar) joinsLate(p Plan) bool {
	return s.cfg.BundleImage == "" && len(s.cfg.BundleOptions) == 0 && p.Topology == Bridge
}

func (s *containerSidecar) start(ctx context.Context, p Plan, labels map[string]string) (err error) {
	if s.late {
		if err = s.ctr.Join(ctx); !errors.Is(err, bundle.ErrLate) {
			return err
		}
		if err = s.again(ctx, err); err != nil {
			return err
		}
	}
	if s.ctr == nil {
		if s.ctr, err = bundle.Create(ctx, s.image, s.options(p, labels)...); err != nil {
			return err
		}
	}
	return s.ctr.Up(ctx)
}

func (s *containerSidecar) options(p Plan, labels map[string]string) []testcontainers.ContainerCustomizer {
	network := bundle.WithNetwork
	if s.late {
		network = bundle.WithLateNetwork
	}
	opts := []testcontainers.ContainerCustomizer{
		bundle.WithName(p.Machine),
		network(s.net, p.Inside),
		bundle.WithDaemons(p.Daemons...),
		bundle.WithProxyAllow(s.cfg.ProxyAllow...),
		bundle.WithSecret(s.secret),
		bundle.WithCanary(canaryPort),
		testcontainers.WithLabels(labels),
	}
	if p.Topology == Alias {
		opts = append(opts, publish(p))
	}
	for _, o := range p.Origin.options() {
		opts = append(opts, o)
	}
	return append(opts, s.cfg.BundleOptions...)
}

// publish publishes the bundle's ports as the plan says.
func publish(p Plan) bundle.Option {
	var ports []bundle.Published
	for port := range p.Ports {
		ports = append(ports, bundle.Published{Container: port, Host: p.At(port).Port()})
	}
	return bundle.WithPublish(p.Bundle, ports...)
}

// attach finds the running bundle called name. It reports false where there is none.
func (s *containerSidecar) attach(ctx context.Context, name string) (bool, error) {
	ctr, err := bundle.Attach(ctx, name)
	if errors.Is(err, bundle.ErrNoContainer) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	s.ctr, s.secret = ctr, ctr.Secret()
	return true, nil
}

func (s *containerSidecar) leave(ctx context.Context) error {
	if s.ctr == nil || s.net == nil || s.net.ID == "" {
		return nil
	}
	return s.ctr.Leave(ctx, s.net)
}

func (s *containerSidecar) remove(ctx context.Context) error {
	if s.ctr != nil {
		return s.ctr.RemoveWith(ctx, s.net) // what is left for removeNetwork is to find nothing
	}
	return bundle.RemoveContainers(ctx, s.slug) // of a creation that was cut off
}

// canary is the one that PID 1 keeps. A bundle that somebody else ran keeps none: there it is a process for the time being.
func (s *containerSidecar) canary(ctx context.Context) (bundleCanary, error) {
	if s.ctr.KeepsCanary() {
		return keptCanary{s.ctr}, nil
	}
	c, err := s.ctr.Canary(ctx)
	if err != nil {
		return nil, err
	}
	return containerCanary{c}, nil
}

// A keptCanary is asked, before its log is read, for what must be in the log if it is complete.
type keptCanary struct{ ctr *bundle.Container }

func (c keptCanary) Sightings(ctx context.Context) ([]echo.Sighting, error) {
	return c.ctr.CanarySightings(ctx)
}

// Close ends nothing: the canary is the bundle's.
func (c keptCanary) Close() error { return nil }

// A containerCanary reads its sightings as they come: asking for them needs nobody.
type containerCanary struct{ *bundle.Canary }

func (c containerCanary) Sightings(context.Context) ([]echo.Sighting, error) {
	return c.Canary.Sightings(), nil
}

func (s *containerSidecar) echo(ctx context.Context, addr netip.AddrPort, n echo.Nonce) (echo.Reply, error) {
	return s.ctr.Echo(ctx, addr, n)
}

// sightings are the daemons'; what the canary saw is asked of the canary.
func (s *containerSidecar) sightings(ctx context.Context) ([]echo.Sighting, error) {
	all, err := s.ctr.Sightings(ctx)
	return slices.DeleteFunc(all, isCanarys), err
}

func (s *containerSidecar) listeners(ctx context.Context) ([]bundle.Listener, error) {
	return s.ctr.Listeners(ctx)
}

func (s *containerSidecar) logs(ctx context.Context) ([]byte, error) {
	if s.ctr == nil {
		return nil, nil
	}
	r, err := s.ctr.Logs(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { _ = r.Close() }()
	return io.ReadAll(r)
}

func (s *containerSidecar) describe() string {
	return fmt.Sprintf("container, %s %s", s.engine.Name, s.engine.Version)
}
