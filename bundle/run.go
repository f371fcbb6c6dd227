package bundle

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"
	"github.com/testcontainers/testcontainers-go"
	tclog "github.com/testcontainers/testcontainers-go/log"
	tcnetwork "github.com/testcontainers/testcontainers-go/network"

	"bottle.internal/internal/echo"
)

const (
	// upWithin bounds the start until PID 1 says that it is up.
	upWithin = 20 * time.Second
	upPoll   = 5 * time.Millisecond
	// answerWithin bounds one echo asked from here.
	answerWithin = 2 * time.Second
	// tailLines is how much of the log an error quotes.
	tailLines = 10
)

// A Container is a bundle that runs. Its methods are safe for concurrent use.
type Container struct {
	testcontainers.Container
	settings  settings
	addr      netip.Addr
	published map[uint16]netip.AddrPort // container port to host address
	canaries  chan uint16               // free canary ports; nil = any port will do
	apart     atomic.Bool               // this host was seen not to reach the container
}

// Run starts a bundle from img (see Image), which must hold /bottle-bundle as its entry point. It returns once every daemon
// is proven up: PID 1 had each answer its own echo, what they listen on is as set, and those open to the network answered
// from the container's address. A container may come with the error; Remove it either way.
func Run(ctx context.Context, img string, opts ...testcontainers.ContainerCustomizer) (*Container, error) {
	c, err := Create(ctx, img, opts...)
	if err == nil {
		err = c.Up(ctx)
	}
	if err == nil && c.settings.late {
		err = c.Join(ctx)
	}
	return c, err
}

// Create is Run up to the container's start, which Up is. The network may be a planned one, that has to be made before Up only (with
// WithLateNetwork, before Join); an engine that wants it sooner refuses. A container may come with the error; Remove it either way.
func Create(ctx context.Context, img string, opts ...testcontainers.ContainerCustomizer) (*Container, error) {
	s, err := newSettings(opts)
	if err != nil {
		return nil, fmt.Errorf("run bundle: %w", err)
	}
	if _, _, err := connect(ctx); err != nil {
		return nil, fmt.Errorf("run bundle: %w", err)
	}
	ctr, err := toItsEnd(ctx, func(ctx context.Context) (*testcontainers.DockerContainer, error) {
		return testcontainers.Run(ctx, img, append(append(s.customizers(), opts...), testcontainers.WithNoStart())...)
	})
	if err != nil {
		err = fmt.Errorf("run bundle: %w", err)
	}
	if ctr == nil {
		return nil, err
	}
	c := &Container{Container: ctr, settings: s, addr: s.addr, canaries: s.canaryPorts()}
	if err == nil && s.late {
		err = c.leaveNone(ctx)
	}
	return c, err
}

// Up starts a created bundle, once, and returns when it is proven up, as Run does; one that is yet to Join, when PID 1 had every daemon
// answer its own echo.
func (c *Container) Up(ctx context.Context) error {
	_, err := toItsEnd(ctx, func(ctx context.Context) (struct{}, error) { return struct{}{}, c.Start(ctx) })
	if err == nil {
		err = c.awaitUp(ctx)
	}
	if err == nil && !c.settings.late {
		err = c.verify(ctx)
	}
	return c.failed(ctx, err)
}

// failed is err, if it is one, with the end of the log.
func (c *Container) failed(ctx context.Context, err error) error {
	if err != nil {
		return fmt.Errorf("run bundle: %w%s", err, c.tail(ctx))
	}
	return nil
}

// customizers are the module's own, before the user's.
func (s settings) customizers() []testcontainers.ContainerCustomizer {
	out := []testcontainers.ContainerCustomizer{
		testcontainers.WithLogger(tclog.NewNoopLogger()),
		testcontainers.WithEnv(s.env()),
		testcontainers.WithLabels(ownedLabels(s.labels())),
		testcontainers.WithConfigModifier(func(c *container.Config) { c.User = unprivileged }),
		testcontainers.WithHostConfigModifier(harden),
	}
	out = append(append(out, s.publishers()...), s.namers()...)
	if s.name != "" {
		out = append(out, testcontainers.WithName(s.name))
	}
	switch {
	case s.network == nil:
		return out
	case s.late:
		return append(out, testcontainers.WithHostConfigModifier(func(h *container.HostConfig) { h.NetworkMode = network.NetworkNone }))
	}
	return append(out,
		tcnetwork.WithNetworkName([]string{alias}, s.network.Name),
		testcontainers.WithEndpointSettingsModifier(func(m map[string]*network.EndpointSettings) {
			// testcontainers leaves the map empty where it does not find the network, for the engine to take its default bridge.
			ep := m[s.network.Name]
			if ep == nil {
				ep = s.endpoint()
				m[s.network.Name] = ep
			}
			ep.IPAMConfig = s.endpoint().IPAMConfig
		}))
}

// endpoint is the container's place on its network.
func (s settings) endpoint() *network.EndpointSettings {
	return &network.EndpointSettings{Aliases: []string{alias}, IPAMConfig: &network.EndpointIPAMConfig{IPv4Address: s.addr}}
}

// namers write what WithHost asked for into the container's hosts file.
func (s settings) namers() []testcontainers.ContainerCustomizer {
	var lines []string
	for _, name := range slices.Sorted(maps.Keys(s.hosts)) {
		lines = append(lines, name+":"+s.hosts[name].String())
	}
	if len(lines) == 0 {
		return nil
	}
	return []testcontainers.ContainerCustomizer{
		testcontainers.WithHostConfigModifier(func(h *container.HostConfig) { h.ExtraHosts = append(h.ExtraHosts, lines...) }),
	}
}

// alias is the bundle's name on its network.
const alias = "bundle"

// harden takes from the container what its daemons do not need. The bundle holds credentials; a guest that breaks into a
// daemon should find nothing to stand on.
func harden(h *container.HostConfig) {
	h.CapDrop = []string{"ALL"}
	h.ReadonlyRootfs = true
	h.SecurityOpt = append(h.SecurityOpt, "no-new-privileges")
}

// verify finds out whether what runs is where it was asked for, and answers there.
func (c *Container) verify(ctx context.Context) error {
	if err := c.place(ctx); err != nil {
		return err
	}
	return c.prove(ctx)
}

// place checks that the container is where it was put: testcontainers has started some on the default bridge without a word.
func (c *Container) place(ctx context.Context) error {
	in, err := c.Inspect(ctx)
	if err != nil {
		return fmt.Errorf("inspecting the container: %w", err)
	}
	if err := c.bound(in.NetworkSettings.Ports); err != nil {
		return err
	}
	var on []string
	for name, ep := range in.NetworkSettings.Networks {
		on = append(on, name+" at "+ep.IPAddress.String())
		if c.settings.network == nil {
			c.addr = ep.IPAddress
			return nil
		}
		if name == c.settings.network.Name && ep.IPAddress == c.settings.addr {
			return nil
		}
	}
	if c.settings.network == nil {
		return nil // network mode none or host: the user's wish
	}
	return fmt.Errorf("the container is not on %s at %s but on [%s]", c.settings.network.Name, c.settings.addr, strings.Join(on, ", "))
}

// prove has every daemon listen where it should and, where that is open to the network, answer there with a valid proof.
func (c *Container) prove(ctx context.Context) error {
	ports := c.settings.ports()
	if len(ports) == 0 {
		return nil
	}
	results := make(chan error)
	go func() { results <- c.listening(ctx, ports) }()
	n := 1
	for name, at := range ports {
		if host, ok := c.published[at.Port()]; ok {
			n++
			go func() { results <- c.answersHost(ctx, name, host, echo.NewNonce()) }()
		}
		if !at.Addr().IsUnspecified() || !c.addr.IsValid() {
			continue // PID 1 asked it on loopback, and nobody else can
		}
		n++
		go func() { results <- c.echoes(ctx, name, netip.AddrPortFrom(c.addr, at.Port())) }()
	}
	var errs []error
	for range n {
		errs = append(errs, <-results)
	}
	return errors.Join(errs...)
}

func (c *Container) listening(ctx context.Context, ports map[string]netip.AddrPort) error {
	ls, err := c.Listeners(ctx)
	if err != nil {
		return err
	}
	for name, at := range ports {
		if !slices.ContainsFunc(ls, func(l Listener) bool { return strings.HasPrefix(l.Network, "tcp") && l.Addr == at }) {
			return fmt.Errorf("%s does not listen on %s; what does: %v", name, at, ls)
		}
	}
	return nil
}

func (c *Container) echoes(ctx context.Context, name string, at netip.AddrPort) error {
	n := echo.NewNonce()
	r, err := c.Echo(ctx, at, n)
	return c.own(name, at, n, r, err)
}

// answersHost asks what is published at, or open to the network, from here for n: that is the road a guest will take.
func (c *Container) answersHost(ctx context.Context, name string, at netip.AddrPort, n echo.Nonce) error {
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	r, err := echo.Ask(ctx, at, n)
	return c.own(name, at, n, r, err)
}

// own judges what came of asking at for n.
func (c *Container) own(name string, at netip.AddrPort, n echo.Nonce, r echo.Reply, err error) error {
	if err != nil {
		return fmt.Errorf("%s does not answer on %s: %w", name, at, err)
	}
	if r.Name != name || !c.settings.secret.Verify(n, r) {
		return fmt.Errorf("%q answers on %s instead of %s: %w", r.Name, at, name, echo.ErrForeign)
	}
	return nil
}

// tail is the end of the log for an error's text, "" where there is none.
func (c *Container) tail(ctx context.Context) string {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	b, _ := c.log(ctx)
	text := strings.TrimSpace(string(b))
	if text == "" {
		return ""
	}
	lines := strings.Split(text, "\n")
	return "\nits log ends with:\n" + strings.Join(lines[max(0, len(lines)-tailLines):], "\n")
}
