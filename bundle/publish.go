package bundle

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"
	"github.com/testcontainers/testcontainers-go"
)

// A Published is a TCP port of the container that answers on the host as well.
type Published struct {
	Container uint16 // 1 to 65535
	Host      uint16 // on the host's address; 0 = a free one, see Container.Published
}

// WithPublish publishes ports at addr, an address of the engine's host, and nowhere else, in addition to those of earlier
// options. Run fails where the engine bound anything besides. addr may be any loopback address but not an unspecified one,
// which would publish the ports to the host's neighbours. Without it no port is published.
func WithPublish(addr netip.Addr, ports ...Published) Option {
	return func(s *settings) error {
		addr = addr.Unmap()
		if !addr.IsValid() || addr.IsUnspecified() || addr.IsMulticast() || addr.Zone() != "" {
			return fmt.Errorf("WithPublish: %s is no address of one host", addr)
		}
		for _, p := range ports {
			if p.Container == 0 {
				return errors.New("WithPublish: 0 is no port of a container")
			}
			if _, twice := s.publish[p.Container]; twice {
				return fmt.Errorf("WithPublish: port %d is published twice", p.Container)
			}
			if s.publish == nil {
				s.publish = map[uint16]netip.AddrPort{}
			}
			s.publish[p.Container] = netip.AddrPortFrom(addr, p.Host)
		}
		return nil
	}
}

// WithCanaryPorts has canaries listen on these ports of the container instead of free ones, so that they can be published: one
// canary on each at a time. Container.Canary waits for one to be free.
func WithCanaryPorts(ports ...uint16) Option {
	return func(s *settings) error {
		for _, p := range ports {
			if p == 0 || slices.Contains(s.canaries, p) {
				return fmt.Errorf("WithCanaryPorts: %d is no port, or there twice", p)
			}
			s.canaries = append(s.canaries, p)
		}
		return nil
	}
}

// WithCanary has PID 1 keep a canary at port, open to the network, beside the daemons and as long as the container lives: it is up
// when Run returns, without the process in the container that Container.Canary starts. Container.CanarySightings is what it saw.
func WithCanary(port uint16) Option {
	return func(s *settings) error {
		if port == 0 {
			return errors.New("WithCanary: 0 is no port")
		}
		s.canary = netip.AddrPortFrom(netip.IPv4Unspecified(), port)
		return nil
	}
}

// publishers are the customizers that publish what WithPublish asked for.
func (s settings) publishers() []testcontainers.ContainerCustomizer {
	if len(s.publish) == 0 {
		return nil
	}
	var exposed []string
	bindings := network.PortMap{}
	for port, at := range s.publish {
		exposed = append(exposed, tcpPort(port).String())
		bindings[tcpPort(port)] = []network.PortBinding{{HostIP: at.Addr(), HostPort: strconv.Itoa(int(at.Port()))}}
	}
	return []testcontainers.ContainerCustomizer{
		testcontainers.WithExposedPorts(exposed...), // testcontainers drops the binding of a port that is not exposed
		testcontainers.WithHostConfigModifier(func(h *container.HostConfig) { h.PortBindings = bindings }),
	}
}

func tcpPort(n uint16) network.Port {
	p, _ := network.PortFrom(n, network.TCP) // fails for unknown protocols only
	return p
}

// Published is where on the host the container's TCP port is published. It reports false for a port that WithPublish did not
// name.
func (c *Container) Published(port uint16) (netip.AddrPort, bool) {
	at, ok := c.published[port]
	return at, ok
}

// bound reads what the engine has published and compares it with what was asked for.
func (c *Container) bound(ports network.PortMap) error {
	c.published = publishedTCP(ports)
	if len(c.settings.publish) == 0 {
		return nil // another customizer's ports are the user's wish
	}
	var errs []error
	for port, want := range c.settings.publish {
		got := ports[tcpPort(port)]
		at := c.published[port]
		if len(got) != 1 || at.Addr() != want.Addr() || at.Port() == 0 || want.Port() != 0 && at.Port() != want.Port() {
			errs = append(errs, fmt.Errorf("port %d is not published at %s alone but at [%s]", port, want, bindingsText(got)))
		}
	}
	for port, got := range ports {
		if _, asked := c.settings.publish[port.Num()]; len(got) > 0 && (!asked || port.Proto() != network.TCP) {
			errs = append(errs, fmt.Errorf("port %s is published unasked, at [%s]", port, bindingsText(got)))
		}
	}
	return errors.Join(errs...)
}

func publishedTCP(ports network.PortMap) map[uint16]netip.AddrPort {
	out := map[uint16]netip.AddrPort{}
	for port, bindings := range ports {
		if port.Proto() != network.TCP || len(bindings) == 0 {
			continue
		}
		host, err := strconv.ParseUint(bindings[0].HostPort, 10, 16)
		if err == nil {
			out[port.Num()] = netip.AddrPortFrom(bindings[0].HostIP, uint16(host))
		}
	}
	return out
}

func bindingsText(bs []network.PortBinding) string {
	var out []string
	for _, b := range bs {
		out = append(out, b.HostIP.String()+":"+b.HostPort)
	}
	return strings.Join(out, ", ")
}

// canaryPorts hands out the fixed ports; nil where canaries take free ones.
func (s settings) canaryPorts() chan uint16 {
	if len(s.canaries) == 0 {
		return nil
	}
	free := make(chan uint16, len(s.canaries))
	for _, p := range s.canaries {
		free <- p
	}
	return free
}

// canaryPort takes a port for a canary, 0 where any will do; done gives it back.
func (c *Container) canaryPort(ctx context.Context) (port uint16, done func(), err error) {
	if c.canaries == nil {
		return 0, func() {}, nil
	}
	select {
	case port = <-c.canaries:
		return port, func() { c.canaries <- port }, nil
	case <-ctx.Done():
		return 0, nil, fmt.Errorf("waiting for one of the canary ports %v: %w", c.settings.canaries, context.Cause(ctx))
	}
}
