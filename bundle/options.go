package bundle

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"github.com/testcontainers/testcontainers-go"

	"bottle.internal/bundle/internal/wire"
	"bottle.internal/internal/echo"
)

// An Option sets what is not part of testcontainers' request: pass it to Run among other customizers.
type Option func(*settings) error

var _ testcontainers.ContainerCustomizer = Option(nil)

// Customize does nothing; it makes an Option a testcontainers.ContainerCustomizer.
func (Option) Customize(*testcontainers.GenericContainerRequest) error { return nil }

// settings are Run's options put together.
type settings struct {
	name     string
	network  *Network
	late     bool // the container is put on network by Join, and on none before
	addr     netip.Addr
	daemons  []string
	secret   echo.Secret
	allow    []string
	listen   map[string]netip.AddrPort // every known daemon has one
	publish  map[uint16]netip.AddrPort // container port to host address; nil = none
	canaries []uint16                  // where canaries listen; nil = on free ports
	canary   netip.AddrPort            // where the one that PID 1 keeps listens; invalid = none
	hosts    map[string]netip.Addr     // names that only the container knows; nil = none
}

func newSettings(opts []testcontainers.ContainerCustomizer) (settings, error) {
	s := settings{listen: map[string]netip.AddrPort{
		wire.Proxy:  netip.MustParseAddrPort(wire.ProxyListen),
		wire.Egress: netip.MustParseAddrPort(wire.EgressListen),
	}}
	for _, o := range opts {
		if o, ok := o.(Option); ok {
			if err := o(&s); err != nil {
				return settings{}, err
			}
		}
	}
	if s.secret == (echo.Secret{}) {
		s.secret = echo.NewSecret()
	}
	return s, nil
}

// WithName names the container. Without it the engine invents a name; one in use is an error of Run's.
func WithName(name string) Option {
	return func(s *settings) error { s.name = name; return nil }
}

// WithNetwork puts the container on n and nowhere else, at addr. Without it the container is on the engine's default
// network, at an address of the engine's choice.
func WithNetwork(n *Network, addr netip.Addr) Option {
	return func(s *settings) error {
		if n == nil {
			return errors.New("WithNetwork: no network")
		}
		last := n.Host(1<<(32-n.Subnet.Bits()) - 2)
		if !n.Subnet.Contains(addr) || addr == n.Gateway || addr == n.Subnet.Addr() || addr.Compare(last) > 0 {
			return fmt.Errorf("WithNetwork: %s is no free host's address of %s (the gateway is %s)", addr, n.Subnet, n.Gateway)
		}
		s.network, s.addr, s.late = n, addr, false
		return nil
	}
}

// WithLateNetwork is WithNetwork for a container that Up starts on no network at all: Join puts it on n, which has to be made before
// that only. Nothing can be published so, and not every engine can put a container on a network that was begun without one: Create's
// error says so.
func WithLateNetwork(n *Network, addr netip.Addr) Option {
	return func(s *settings) error {
		if err := WithNetwork(n, addr)(s); err != nil {
			return err
		}
		s.late = true
		return nil
	}
}

// WithDaemons selects the daemons PID 1 starts, in addition to those of earlier options. None is the default: the container
// is up and serves nothing.
func WithDaemons(names ...string) Option {
	return func(s *settings) error {
		for _, n := range names {
			if n == "" || strings.ContainsAny(n, ", ") {
				return fmt.Errorf("WithDaemons: %q is no daemon's name", n)
			}
			s.daemons = append(s.daemons, n)
		}
		return nil
	}
}

// WithSecret sets what the bundle's echoes are proven with. Without it, or zero, Run makes one; see Container.Secret.
func WithSecret(secret echo.Secret) Option {
	return func(s *settings) error { s.secret = secret; return nil }
}

// WithProxyAllow adds to what the proxy lets through: host globs and IP addresses, with a port or for 80 and 443. None is
// the default: it denies everything.
func WithProxyAllow(hosts ...string) Option {
	return func(s *settings) error {
		if i := slices.IndexFunc(hosts, func(h string) bool { return h == "" || strings.Contains(h, ",") }); i >= 0 {
			return fmt.Errorf("WithProxyAllow: %q is no host", hosts[i])
		}
		s.allow = append(s.allow, hosts...)
		return nil
	}
}

// WithHost has name lead to addr in the container, by its hosts file: no resolver is asked for it. Only a container has it, and names are
// none of the proxy's list by that.
func WithHost(name string, addr netip.Addr) Option {
	return func(s *settings) error {
		if name == "" || strings.ContainsAny(name, " :,*") || !addr.IsValid() {
			return fmt.Errorf("WithHost: %q at %q is no host", name, addr)
		}
		if s.hosts == nil {
			s.hosts = make(map[string]netip.Addr)
		}
		s.hosts[name] = addr
		return nil
	}
}

// WithListen has daemon ("proxy" or "egress") listen on addr instead of 0.0.0.0:8888 or 127.0.0.1:9099. A bundle whose
// egress listens on 0.0.0.0 is broken on purpose: its hop is open to the guest.
func WithListen(daemon string, addr netip.AddrPort) Option {
	return func(s *settings) error {
		if _, ok := s.listen[daemon]; !ok {
			return fmt.Errorf("WithListen: unknown daemon %q (known: %s)", daemon, strings.Join(wire.Known(), ", "))
		}
		if !addr.IsValid() || addr.Port() == 0 {
			return fmt.Errorf("WithListen: %s needs an address and a port", daemon)
		}
		s.listen[daemon] = addr
		return nil
	}
}

// env is what PID 1 reads.
func (s settings) env() map[string]string {
	hop := s.listen[wire.Egress]
	env := map[string]string{
		wire.EnvDaemons:      strings.Join(s.daemons, ","),
		wire.EnvSecret:       s.secret.String(),
		wire.EnvAllow:        strings.Join(s.allow, ","),
		wire.EnvProxyListen:  s.listen[wire.Proxy].String(),
		wire.EnvEgressListen: hop.String(),
		wire.EnvUpstream:     (&url.URL{Scheme: "http", Host: wire.FromInside(hop).String()}).String(),
	}
	if s.canary.IsValid() {
		env[wire.EnvCanaryListen] = s.canary.String()
	}
	return env
}

// recall takes one KEY=VALUE of env's back.
func (s *settings) recall(kv string) (err error) {
	key, value, _ := strings.Cut(kv, "=")
	switch key {
	case wire.EnvDaemons:
		s.daemons = strings.FieldsFunc(value, func(r rune) bool { return r == ',' })
	case wire.EnvSecret:
		s.secret, err = echo.ParseSecret(value)
	case wire.EnvProxyListen:
		s.listen[wire.Proxy], err = netip.ParseAddrPort(value)
	case wire.EnvEgressListen:
		s.listen[wire.Egress], err = netip.ParseAddrPort(value)
	case wire.EnvCanaryListen:
		s.canary, err = netip.ParseAddrPort(value)
	}
	if err != nil {
		return fmt.Errorf("its settings' %s: %w", key, err)
	}
	return nil
}

// echoing maps what answers echoes to where it listens: the daemons that ports has, and the canary that PID 1 keeps.
func (s settings) echoing() map[string]netip.AddrPort {
	out := s.ports()
	if s.canary.IsValid() {
		out[wire.Canary] = s.canary
	}
	return out
}

// ports maps every selected daemon we know to where it listens.
func (s settings) ports() map[string]netip.AddrPort {
	out := maps.Clone(s.listen)
	maps.DeleteFunc(out, func(name string, _ netip.AddrPort) bool { return !slices.Contains(s.daemons, name) })
	return out
}
