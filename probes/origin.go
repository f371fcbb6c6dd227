package probes

import (
	"context"
	"fmt"
	"net/netip"

	"bottle.internal/internal/echo"
)

// An Origin is what a proxy's list has so that what it allows can be dialled: a place where nothing but a canary of a run listens. It is
// part of the policy that is probed, and the site has to say so in Asked.
type Origin struct {
	// Name is on the list with the port of Addr and no other, and leads to Addr for the proxy. "" is no origin.
	Name string
	// Addr is an address of this host's at which a run may listen.
	Addr netip.AddrPort
	// Rebound is a name on the list, with the port of Proxy.Own, that leads to the sidecar's own loopback; "" is none.
	Rebound string
}

// originProbes are those that need a destination which the proxy allows.
var originProbes = []Probe{
	{
		ID: "proxy.allow.https", Family: "proxy", Severity: High, Expect: Reach,
		What: "Ask the proxy for a tunnel to an origin that is on its list, and begin TLS with that.",
		Why:  "A proxy that lets nothing through denies everything else for free; and one that ends TLS itself reads what the sandbox takes for private.",
		Control: "The origin's certificate comes back, and with it a signature by the origin's key of what was drawn for this one attempt, which nobody on the way can make. " +
			"The origin's log has the nonce.",
		Remedy: "Compare the proxy's list with what was meant. If something else's certificate came back, the proxy ends TLS: declare it, or have it pass tunnels on.",
		Source: "melodic isolation-probe (peer fingerprints inside and outside)", Where: originWhere,
		aims: func(r *rig) ([]aim, absence) { return r.proxyAims([]road{allowedOrigin}) },
	},
	withOrigin(proxyRow("proxy.deny.port", High, "Ask the proxy for a tunnel to the host that is on its list, and for a page of it, at another port.",
		"A list of hosts without ports opens every service that a host has: its shell, its database, its admin page.", "tactics#315", otherPort(tunnel), otherPort(func(from string, n echo.Nonce) [][]byte { return fetch("GET", from, n) }))),
	{
		ID: "proxy.sni-mismatch", Family: "proxy", Severity: High, Expect: Contain,
		What: "Ask the proxy for a tunnel to the host that is on its list, and ask in there, by TLS's server name, for another host that shares its address.",
		Why:  "Many hosts share an address. If nobody looks at the name inside, a tunnel to one listed host is a way to all of its neighbours (domain fronting).",
		Control: "The listed host is reached through the proxy (proxy.allow.https) and alive before and after, from the proxy's own position; its log, which has every name that it is asked for, never has " +
			"that of the probe. What counts as a refusal is TLS's own fatal alert: a tunnel that just ends shows nothing.",
		Remedy: "Have the proxy read the ClientHello and hold the server name against the CONNECT and the list.",
		Source: "gh-aw#8878; inspect_k8s#208", Where: originWhere,
		aims: func(r *rig) ([]aim, absence) { return r.proxyAims([]road{otherName}) },
	},
	{
		ID: "net.dns.rebind", Family: "net.dns", Severity: High, Expect: Contain,
		What: "Ask the proxy for a tunnel to, and for a page of, a name on its list that leads to the proxy's own loopback.",
		Why:  "Whoever serves a listed name decides where it leads, today and in a minute. A list of names that is not held against the address as well is the name server's list.",
		Control: "The listener on the loopback is dialled at its own position before and after and logs that; it never sees a nonce of the probe; the allowed destination echoes in the same batch. " +
			"The name is on the list: the refusal in the log names the address as its ground.",
		Remedy: "Refuse by the address that is about to be dialled, when it is dialled: private ranges, loopback, link-local and the sidecar's own.",
		Source: "smolvm K' dns_filter.rs (learned addresses, owner unchecked); pipelock SSRF", Where: originWhere + " A policy that goes by address alone, as a bottle's, has no names that could be rebound: there it is the proxy's list that has.",
		aims: func(r *rig) ([]aim, absence) {
			return r.proxyAims([]road{rebound(tunnel), rebound(func(from string, n echo.Nonce) [][]byte { return fetch("GET", from, n) })})
		},
	},
}

const originWhere = "Where the sidecar's proxy has a destination of ours on its list (bottletest.Config.ProxyOrigin), which the report declares. Elsewhere not applicable, and inconclusive to whoever asks for it by name."

func withOrigin(p Probe) Probe {
	p.Where = originWhere
	return p
}

// noOrigin is why nothing that the proxy allows can be dialled.
var noOrigin = absence{why: "the proxy's list has no destination of ours, so that nothing which it allows can be dialled", unproven: true}

// An origin is the canary behind the proxy's list.
type origin struct {
	canary *OriginCanary
	post   *post
	err    error
}

// allowedOrigin brings the origin up when it is first asked for.
func (r *rig) allowedOrigin(p Proxy) (*origin, absence) {
	if p.Origin.Name == "" {
		return nil, noOrigin
	}
	if r.origin == nil {
		r.origin = r.newOrigin(p)
	}
	if r.origin.err != nil {
		return nil, absence{why: r.origin.err.Error(), unproven: true}
	}
	return r.origin, absence{}
}

func (r *rig) newOrigin(p Proxy) *origin {
	c, err := NewOriginCanary("origin "+p.Origin.listed(), p.Origin.Addr, r.opts.Listen)
	if err != nil {
		return &origin{err: err}
	}
	r.undo = append(r.undo, c.Close)
	t := c.Target()
	t.Alive = func(ctx context.Context) error {
		if p.Dial != nil {
			if err := prove(ctx, p, c.Addr(), c.Secret()); err != nil {
				return err
			}
		}
		return c.Alive(ctx)
	}
	return &origin{canary: c, post: &post{Target: t}}
}

// listed is the origin as a request spells it.
func (o Origin) listed() string { return o.at(o.Addr.Port()) }

func (o Origin) at(port uint16) string { return fmt.Sprintf("%s:%d", o.Name, port) }

// allowedOrigin begins TLS with the origin through the proxy.
func allowedOrigin(r *rig, p Proxy) (aim, absence) {
	o, none := r.allowedOrigin(p)
	if none.why != "" {
		return aim{}, none
	}
	through := func(n echo.Nonce) [][]byte { return append(tunnel(p.Origin.listed(), n)[:1], originHello(n)) }
	return aim{post: o.post, expect: Reach, send: through, proves: func(sent [][]byte, reply []byte) bool {
		return len(sent) == 2 && o.canary.ProvedBy(sent[1], reply)
	}}, absence{}
}

// otherName asks for another host's name in the tunnel to the origin.
func otherName(r *rig, p Proxy) (aim, absence) {
	o, none := r.allowedOrigin(p)
	if none.why != "" {
		return aim{}, none
	}
	through := func(n echo.Nonce) [][]byte { return append(tunnel(p.Origin.listed(), n)[:1], clientHello(n)) }
	return aim{post: o.post, wall: tunnelWall, send: through}, absence{}
}

// otherPort asks for the origin's host at the port of a canary that is not on the list.
func otherPort(say func(string, echo.Nonce) [][]byte) road {
	return func(r *rig, p Proxy) (aim, absence) {
		if p.Origin.Name == "" {
			return aim{}, noOrigin
		}
		beside, err := r.behindProxy(Proxy{Near: p.Origin.Addr.Addr(), Dial: p.Dial})
		if err != nil {
			return aim{}, absence{why: err.Error(), unproven: true}
		}
		at := p.Origin.at(beside.Addr.Port())
		return aim{post: beside, asked: at, send: func(n echo.Nonce) [][]byte { return say(at, n) }}, absence{}
	}
}

// rebound asks for the listener on the sidecar's loopback by a name that is on the list.
func rebound(say func(string, echo.Nonce) [][]byte) road {
	return func(r *rig, p Proxy) (aim, absence) {
		if p.Origin.Rebound == "" {
			return aim{}, noOrigin
		}
		return ownBy(func(netip.Addr) string { return p.Origin.Rebound }, say)(r, p)
	}
}
