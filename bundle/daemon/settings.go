package daemon

import (
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"bottle.internal/bundle/internal/wire"
	"bottle.internal/internal/echo"
)

// Settings is what a bundle's environment says. Make one with ParseSettings: the zero Settings has nowhere to listen.
type Settings struct {
	Daemons      []string       // known names without repeats, in the order asked for; empty = none
	Secret       echo.Secret    // zero = echoes prove nothing
	Allow        Rules          // empty = deny all
	ProxyListen  netip.AddrPort // of the proxy daemon
	EgressListen netip.AddrPort // of the egress daemon
	Upstream     *url.URL       // the hop the proxy dials out through
	CanaryListen netip.AddrPort // of a canary kept beside the daemons; invalid = none
}

// ParseSettings reads the environment through getenv. Every error is one the operator can mend, and none leaves anything
// started.
func ParseSettings(getenv func(string) string) (s Settings, err error) {
	if s.Daemons, err = parseDaemons(getenv(wire.EnvDaemons)); err != nil {
		return Settings{}, err
	}
	if v := getenv(wire.EnvSecret); v != "" {
		if s.Secret, err = echo.ParseSecret(v); err != nil {
			return Settings{}, usagef("%s: %v", wire.EnvSecret, err) // never the value
		}
	}
	if s.Allow, err = ParseRules(getenv(wire.EnvAllow)); err != nil {
		return Settings{}, err
	}
	if s.ProxyListen, err = listenAddr(wire.EnvProxyListen, getenv, wire.ProxyListen); err != nil {
		return Settings{}, err
	}
	if s.EgressListen, err = listenAddr(wire.EnvEgressListen, getenv, wire.EgressListen); err != nil {
		return Settings{}, err
	}
	if getenv(wire.EnvCanaryListen) != "" {
		if s.CanaryListen, err = listenAddr(wire.EnvCanaryListen, getenv, ""); err != nil {
			return Settings{}, err
		}
	}
	s.Upstream, err = upstream(getenv(wire.EnvUpstream))
	return s, err
}

func parseDaemons(list string) ([]string, error) {
	var out []string
	for _, name := range split(list) {
		if !slices.Contains(wire.Known(), name) {
			return nil, unknownDaemon(name)
		}
		if !slices.Contains(out, name) {
			out = append(out, name)
		}
	}
	return out, nil
}

func unknownDaemon(name string) error {
	return usagef("unknown daemon %q (known: %s)", name, strings.Join(wire.Known(), ", "))
}

func listenAddr(key string, getenv func(string) string, fallback string) (netip.AddrPort, error) {
	v := getenv(key)
	if v == "" {
		v = fallback
	}
	a, err := netip.ParseAddrPort(v)
	if err != nil || a.Port() == 0 {
		return netip.AddrPort{}, usagef("%s: %q is not ip:port", key, v)
	}
	return a, nil
}

func upstream(v string) (*url.URL, error) {
	if v == "" {
		v = "http://" + wire.EgressListen
	}
	u, err := url.Parse(v)
	if err != nil || u.Scheme != "http" || u.Port() == "" || u.User != nil || (u.Path != "" && u.Path != "/") {
		return nil, usagef("%s: %q is not http://host:port", wire.EnvUpstream, v)
	}
	return u, nil
}

// listen is where the daemon called name listens.
func (s Settings) listen(name string) netip.AddrPort {
	switch name {
	case wire.Egress:
		return s.EgressListen
	case wire.Canary:
		return s.CanaryListen
	}
	return s.ProxyListen
}

// children are the names of what PID 1 starts.
func (s Settings) children() []string {
	if s.CanaryListen.IsValid() {
		return append(slices.Clone(s.Daemons), wire.Canary)
	}
	return s.Daemons
}

// environ is what the daemon called name needs and nothing else: what PID 1 was given besides stays with PID 1.
func (s Settings) environ(name string) []string {
	env := []string{
		wire.EnvAllow + "=" + s.Allow.String(),
		wire.EnvEgressListen + "=" + s.EgressListen.String(),
	}
	if s.Secret != (echo.Secret{}) {
		env = append(env, wire.EnvSecret+"="+s.Secret.String()) // each answers echoes itself
	}
	if name == wire.Canary {
		env = append(env, wire.EnvCanaryListen+"="+s.CanaryListen.String())
	}
	if name == wire.Proxy {
		env = append(env, wire.EnvProxyListen+"="+s.ProxyListen.String(), wire.EnvUpstream+"="+s.Upstream.String())
	}
	return env
}

// split reads a comma list, blanks and empty elements ignored.
func split(list string) []string {
	var out []string
	for _, f := range strings.Split(list, ",") {
		if f = strings.TrimSpace(f); f != "" {
			out = append(out, f)
		}
	}
	return out
}
