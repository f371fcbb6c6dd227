package probes

import (
	"fmt"
	"slices"

	"bottle.internal/internal/echo"
)

// proxyRoadProbes are those of family proxy that go past the sidecar's proxy, or through it twice.
var proxyRoadProbes = []Probe{
	{
		ID: "proxy.noproxy-direct", Family: "proxy", Severity: Critical, Expect: Contain,
		What:    "Dial, without the proxy, a canary that the proxy could reach.",
		Why:     "Settings that send programs to a proxy are advice: a program that takes none goes straight there, if nothing but the settings stands in its way.",
		Control: "The target answers at the proxy's own position before and after, past its rules, so there is a way from there and it is the wall that holds the guest. " + canaryControl,
		Remedy:  "Let the guest's network reach the proxy and nothing else: the settings are for programs, the wall is for what is not one of them.",
		Source:  "nono; gh-aw-firewall (programs that ignore HTTPS_PROXY)", Where: proxyWhere,
		aims: (*rig).pastProxyAims,
	},
	proxyRow("proxy.relay", Critical, "Ask the proxy for a tunnel to itself, by its own address and as localhost, and through that for one to a canary that is not on its list.",
		"A request that comes from the proxy comes from an address that its rules may trust; and what one hop refused another may not have been asked.",
		"claude-code#87381 (a relay in front of the proxy)", relayed(func(p Proxy) string { return p.Addr.String() }),
		relayed(func(p Proxy) string { return fmt.Sprintf("localhost:%d", p.Addr.Port()) })),
}

// roadProbes are the rows of this file, of groups.go, of aliases.go and of injector.go.
func roadProbes() []Probe {
	return slices.Concat(proxyRoadProbes, groupProbes, aliasProbes, injectionProbes)
}

// relayed aims at a canary of the host's by way of the proxy twice, the first time under the name that spell gives it.
func relayed(spell func(Proxy) string) road {
	return func(r *rig, p Proxy) (aim, absence) {
		a, none := near(connectTo)(r, p)
		if none.why != "" {
			return aim{}, none
		}
		target := a.also.String()
		a.asked = spell(p)
		a.send = func(n echo.Nonce) [][]byte { return append(tunnel(a.asked, n)[:1], tunnel(target, n)...) }
		return a, absence{}
	}
}

// pastProxyAims dial what the proxy could reach, as if there were no proxy.
func (r *rig) pastProxyAims() ([]aim, absence) {
	p := r.site.Proxy
	switch {
	case p == nil:
		return nil, absence{why: "the site has no proxy", unproven: true}
	case !p.Near.IsValid():
		return nil, absence{why: "no address of this host is known to be in the proxy's reach"}
	case p.Near == r.site.Allowed.Addr.Addr():
		return nil, absence{why: p.Near.String() + ", which is in the proxy's reach, is allowed to the guest too"}
	}
	post, err := r.behindProxy(*p)
	if err != nil {
		return nil, absence{why: err.Error(), unproven: true}
	}
	return []aim{{addr: post.Addr, wall: policyWall, post: post}}, absence{}
}
