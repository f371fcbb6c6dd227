package bottletest

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"bottle.internal/bundle"
	"bottle.internal/probes"
)

// The names that Config.ProxyOrigin puts on the proxy's list. ".internal" is reserved for private use, so that they are nobody's.
const (
	originName  = "origin.bottle.internal"
	reboundName = "rebound.bottle.internal"
	// originPort is where a probe run listens at the bridge's address on this host, which is the bottle's alone.
	originPort = 9443
)

// An Origin is what Config.ProxyOrigin adds to the proxy's list. The zero Origin is nothing.
type Origin struct {
	// Allow are the entries of the list.
	Allow []string `json:"allow,omitempty"`
	// Hosts are what the bundle takes those names for, whoever else is asked.
	Hosts map[string]netip.Addr `json:"hosts,omitempty"`
}

// origin is what cfg adds for a bundle whose network has this gateway, the host's end of it.
func origin(cfg Config, runtime BundleRuntime, gateway netip.Addr) Origin {
	if !cfg.ProxyOrigin || runtime != Container || !gateway.IsValid() || !slices.Contains(cfg.Daemons, "proxy") {
		return Origin{}
	}
	o := Origin{Allow: []string{fmt.Sprintf("%s:%d", originName, originPort)}, Hosts: map[string]netip.Addr{originName: gateway}}
	if slices.Contains(cfg.Daemons, "egress") {
		o.Allow = append(o.Allow, fmt.Sprintf("%s:%d", reboundName, egressPort))
		o.Hosts[reboundName] = egressInside.Addr()
	}
	return o
}

func (c Config) checkOrigin() error {
	if c.ProxyOrigin && c.BundleImage != "" {
		return errors.New("field ProxyOrigin is about the proxy of the default bundle: BundleImage has another")
	}
	return nil
}

// options are the bundle's for it.
func (o Origin) options() []bundle.Option {
	if len(o.Allow) == 0 {
		return nil
	}
	all := []bundle.Option{bundle.WithProxyAllow(o.Allow...)}
	for name, addr := range o.Hosts {
		all = append(all, bundle.WithHost(name, addr))
	}
	return all
}

// text is the origin as part of the policy that the report has.
func (o Origin) text() []string {
	var all []string
	for _, entry := range o.Allow {
		all = append(all, "proxy allow "+entry+" (a canary of the kit's, for its probes)")
	}
	return all
}

// site is the origin as a prober uses it.
func (o Origin) site() probes.Origin {
	at, ok := o.Hosts[originName]
	if !ok {
		return probes.Origin{}
	}
	s := probes.Origin{Name: originName, Addr: netip.AddrPortFrom(at, originPort)}
	if _, ok := o.Hosts[reboundName]; ok {
		s.Rebound = reboundName
	}
	return s
}
