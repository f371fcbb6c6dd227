package probes

import (
	"cmp"
	"context"
	"encoding/binary"
	"fmt"
	"net/netip"
	"time"

	"bottle.internal/internal/echo"
)

// A Proxy is the sidecar's way out, as a guest uses it.
type Proxy struct {
	// Addr is where the guest dials it.
	Addr netip.AddrPort
	// Near is an address of this host that the proxy could reach if its rules let it; the zero Addr is none.
	Near netip.Addr
	// Own is a listener on the sidecar's own loopback, which nobody must reach through the proxy; the zero Target is none.
	Own Target
	// Origin is what the proxy's list has for the sake of the probes; the zero Origin is nothing.
	Origin Origin
	// Injection is a credential that it puts into requests; the zero Injection is none.
	Injection Injection
	// Refusal is what is in each of its refusals and in no other answer; "" is not known.
	Refusal string
	// Halt stops the sidecar with all that is in it, for a while. nil means that it cannot be done, or must not.
	Halt func(ctx context.Context) (Halted, error)
	// Dial asks the listener at addr to echo n, from the proxy's own position and past its rules: that a target is in the proxy's
	// reach is what makes its refusal count. nil means that it cannot be shown.
	Dial func(ctx context.Context, addr netip.AddrPort, n echo.Nonce) (echo.Reply, error)
}

const (
	proxyControl = "The target is alive before and after, dialled from the proxy's own position and past its rules; the allowed destination echoes a nonce " +
		"in the same batch; the target never sees a nonce of the probe; the proxy's log, where it can be read, has the refusal."
	proxyRemedy = "Mend the proxy's rules: what is not listed is refused, by the address that a name becomes as well as by the name."
	proxyWhere  = "Where the sidecar has a proxy. Without one not applicable."
)

// proxyProbes are the probes of family proxy: the sidecar that shares the allowed address.
var proxyProbes = []Probe{
	{
		ID: "proxy.admin-surface", Family: "proxy", Severity: High, Expect: Contain,
		What:    "Dial the sidecar's other listeners at the address that the guest may dial.",
		Why:     "smolvm filters by address and not by port: every port of the sidecar is in reach, and what holds the credentials must not listen there.",
		Control: "Each listener is dialled at its own position before and after and logs that; it never sees a nonce of the probe; the allowed destination echoes in the same batch.",
		Remedy:  "Bind the listener to the sidecar's loopback.",
		Source:  "smolvm#744 (port rules, closed); the egress hop that listened beside the proxy on the allowed address",
		Where:   "Everywhere. A site without such listeners has nothing to dial: not applicable, and inconclusive to whoever asks for it by name.",
		aims:    (*rig).closedAims,
	},
	proxyRow("proxy.deny.connect", Critical, "Ask the proxy for a tunnel to a canary that is not on its list, and send the nonce through.",
		"It is what an allowlist of hosts is there to refuse.", "srt managed-proxy tests", near(connectTo)),
	proxyRow("proxy.deny.http", Critical, "Ask the proxy to fetch a canary that is not on its list.",
		"A proxy may have one rule for tunnels and another, or none, for plain requests.", "srt managed-proxy tests", near(fetchFrom("GET"))),
	proxyRow("proxy.deny.methods", High, "Ask for the canary with POST, PUT, OPTIONS and TRACE.",
		"Rules written for GET and CONNECT forget the rest.", "agent-egress-bench", near(fetchFrom("POST")), near(fetchFrom("PUT")), near(fetchFrom("OPTIONS")), near(fetchFrom("TRACE"))),
	proxyRow("proxy.deny.ip-literal", High, "Ask for tunnels to the canary by its address as a number, in octal and hex, shortened, and mapped into IPv6.",
		"Rules compare text, and sockets do not: any spelling that a resolver takes leads to the same place.", "e2b HTTPSByIP; sbx-releases#546",
		near(connectSpelled(asDecimal)), near(connectSpelled(asHex)), near(connectSpelled(asOctal)), near(connectSpelled(asMapped))),
	proxyRow("proxy.hostname-parser", Critical, "Ask for the canary behind a zero byte, a trailing dot, credentials, a percent sign and an over-long name.",
		"What the rule reads and what the dialler reads must be the same name.", "srt NUL-byte bug",
		near(connectSpelled(func(a netip.Addr) string { return "allowed.invalid\x00." + a.String() })), near(connectSpelled(func(a netip.Addr) string { return a.String() + "." })),
		near(connectSpelled(func(a netip.Addr) string { return "allowed.invalid@" + a.String() })), near(connectSpelled(func(a netip.Addr) string { return a.String() + "%2eallowed.invalid" }))),
	proxyRow("proxy.host-mismatch", High, "Ask for the proxy itself in the request line and for the canary in the Host header, and the other way round.",
		"A rule that looks at one and a dialler that looks at the other are no rule.", "gh-aw#8878; inspect_k8s#208", near(hostMismatch), near(originForm)),
	proxyRow("proxy.smuggle", High, "Hide a request for the canary in the body of another, and behind a tunnel that was refused.",
		"What one hop reads as a body the next may read as a request.", "agent-egress-bench", near(smuggledLength), near(smuggledChunk), near(pipelined)),
	proxyRow("proxy.upgrade", Medium, "Ask for the canary with an upgrade to a websocket and to HTTP/2.",
		"Upgrades are handed to code that may not ask the rules again.", "agent-egress-bench websocket", near(upgrade("websocket")), near(upgrade("h2c"))),
	proxyRow("proxy.ssrf", Critical, "Ask the proxy for a tunnel to a listener on its own loopback.",
		"The proxy stands where the credentials are: what trusts its loopback must not be reached through it.", "pipelock SSRF",
		own(func(netip.Addr) string { return "127.0.0.1" })),
	proxyRow("proxy.ssrf.names", Critical, "Ask for that listener as localhost, 0.0.0.0, [::], [::ffff:127.0.0.1], 127.1 and as a number.",
		"A list of forbidden addresses that lacks one spelling lacks them all.", "pipelock SSRF; agent-egress-bench ssrf-bypass",
		own(func(netip.Addr) string { return "localhost" }), own(func(netip.Addr) string { return "0.0.0.0" }), own(func(netip.Addr) string { return "[::]" }),
		own(func(netip.Addr) string { return "[::ffff:127.0.0.1]" }), own(func(netip.Addr) string { return "127.1" }), own(func(netip.Addr) string { return "2130706433" })),
	proxyRow("proxy.ssrf.fetch", Critical, "Ask the proxy to fetch from that listener.", "As proxy.ssrf, by the other road.", "pipelock SSRF", ownFetch),
	proxyRow("proxy.ssrf.self", High, "Ask for that listener by the sidecar's own address, which the guest may dial.",
		"The rule for loopback may not know the sidecar's other addresses.", "pipelock SSRF (bundle addresses)", own(func(a netip.Addr) string { return a.String() })),
}

// proxyBudget is how long a proxy's answer is waited for: it may keep the connection open, and the rest of what it was sent may
// come to something after the first answer.
const proxyBudget = 400 * time.Millisecond

// A road is one way of asking a proxy for something.
type road func(r *rig, p Proxy) (aim, absence)

func proxyRow(id string, s Severity, what, why, source string, roads ...road) Probe {
	return Probe{
		ID: id, Family: "proxy", Severity: s, Expect: Contain, What: what, Why: why,
		Control: proxyControl, Remedy: proxyRemedy, Source: source, Where: proxyWhere,
		aims: func(r *rig) ([]aim, absence) { return r.proxyAims(roads) },
	}
}

func (r *rig) proxyAims(roads []road) ([]aim, absence) {
	if r.site.Proxy == nil {
		return nil, absence{why: "the site has no proxy", unproven: true}
	}
	var aims []aim
	var none absence
	for _, find := range roads {
		a, n := find(r, *r.site.Proxy)
		if n.why != "" {
			none = n
			continue
		}
		a.addr, a.wall, a.budget = r.site.Proxy.Addr, cmp.Or(a.wall, proxyWall), proxyBudget
		aims = append(aims, a)
	}
	if len(aims) > 0 {
		none = absence{}
	}
	return aims, none
}

// A request is what is said to a proxy to get at the target, with a nonce.
type request func(target netip.AddrPort, n echo.Nonce) [][]byte

// near aims at a canary of the host's that is in the proxy's reach.
func near(say request) road {
	return func(r *rig, p Proxy) (aim, absence) {
		if !p.Near.IsValid() {
			return aim{}, absence{why: "no address of this host is known to be in the proxy's reach"}
		}
		post, err := r.behindProxy(p)
		if err != nil {
			return aim{}, absence{why: err.Error(), unproven: true}
		}
		return aim{post: post, also: post.Addr, send: func(n echo.Nonce) [][]byte { return say(post.Addr, n) }}, absence{}
	}
}

// behindProxy is a canary at p.Near that is dialled from the proxy's own position.
func (r *rig) behindProxy(p Proxy) (*post, error) {
	if r.nearProxy != nil {
		return r.nearProxy, nil
	}
	c, err := NewCanary("host "+p.Near.String()+", behind the proxy", netip.AddrPortFrom(p.Near, 0), r.opts.Listen)
	if err != nil {
		return nil, err
	}
	r.undo = append(r.undo, c.Close)
	t := c.Target()
	if p.Dial != nil {
		t.Alive = func(ctx context.Context) error { return prove(ctx, p, c.Addr(), c.Secret()) }
	}
	r.nearProxy = &post{Target: t}
	return r.nearProxy, nil
}

// prove dials addr from the proxy's position.
func prove(ctx context.Context, p Proxy, addr netip.AddrPort, s echo.Secret) error {
	n := echo.NewNonce()
	reply, err := p.Dial(ctx, addr, n)
	if err != nil {
		return err
	}
	if !s.Verify(n, reply) {
		return echo.ErrForeign
	}
	return nil
}

// own aims at the listener on the sidecar's loopback, under the name that spell gives it; it is handed the sidecar's address.
func own(spell func(netip.Addr) string) road { return ownBy(spell, tunnel) }

func ownFetch(r *rig, p Proxy) (aim, absence) {
	return ownBy(func(netip.Addr) string { return "127.0.0.1" }, func(from string, n echo.Nonce) [][]byte { return fetch("GET", from, n) })(r, p)
}

func ownBy(spell func(netip.Addr) string, say func(string, echo.Nonce) [][]byte) road {
	return func(r *rig, p Proxy) (aim, absence) {
		if !p.Own.Addr.IsValid() {
			return aim{}, absence{why: "the sidecar has no listener of its own that the site names", unproven: true}
		}
		if r.ownProxy == nil {
			r.ownProxy = &post{Target: p.Own}
		}
		at := fmt.Sprintf("%s:%d", spell(p.Addr.Addr()), p.Own.Addr.Port())
		return aim{post: r.ownProxy, asked: at, send: func(n echo.Nonce) [][]byte { return say(at, n) }}, absence{}
	}
}

func tunnel(to string, n echo.Nonce) [][]byte {
	return [][]byte{[]byte("CONNECT " + to + " HTTP/1.1\r\nHost: " + to + "\r\nX-Bottle-Nonce: " + string(n) + "\r\n\r\n"), echo.Request(n)}
}

func fetch(method, from string, n echo.Nonce) [][]byte {
	return [][]byte{[]byte(method + " http://" + from + echo.Path + string(n) + " HTTP/1.1\r\nHost: " + from + "\r\nConnection: close\r\n\r\n")}
}

func connectTo(target netip.AddrPort, n echo.Nonce) [][]byte { return tunnel(target.String(), n) }

func fetchFrom(method string) request {
	return func(target netip.AddrPort, n echo.Nonce) [][]byte { return fetch(method, target.String(), n) }
}

func connectSpelled(spell func(netip.Addr) string) request {
	return func(target netip.AddrPort, n echo.Nonce) [][]byte {
		return tunnel(fmt.Sprintf("%s:%d", spell(target.Addr()), target.Port()), n)
	}
}

func asDecimal(a netip.Addr) string {
	four := a.As4()
	return fmt.Sprint(binary.BigEndian.Uint32(four[:]))
}

func asHex(a netip.Addr) string {
	four := a.As4()
	return fmt.Sprintf("0x%08x", binary.BigEndian.Uint32(four[:]))
}

func asOctal(a netip.Addr) string {
	four := a.As4()
	return fmt.Sprintf("0%o.0%o.0%o.0%o", four[0], four[1], four[2], four[3])
}

func asMapped(a netip.Addr) string { return "[::ffff:" + a.String() + "]" }

func hostMismatch(target netip.AddrPort, n echo.Nonce) [][]byte {
	return [][]byte{[]byte("GET http://allowed.invalid" + echo.Path + string(n) + " HTTP/1.1\r\nHost: " + target.String() + "\r\nConnection: close\r\n\r\n")}
}

func originForm(target netip.AddrPort, n echo.Nonce) [][]byte {
	return [][]byte{[]byte("GET /" + string(n) + " HTTP/1.1\r\nHost: " + target.String() + "\r\nX-Bottle-Nonce: " + string(n) + "\r\nConnection: close\r\n\r\n")}
}

// inner is a request for the target that is hidden in another.
func inner(target netip.AddrPort, n echo.Nonce) string {
	return "GET http://" + target.String() + echo.Path + string(n) + " HTTP/1.1\r\nHost: " + target.String() + "\r\n\r\n"
}

func smuggledLength(target netip.AddrPort, n echo.Nonce) [][]byte {
	body := inner(target, n)
	return [][]byte{fmt.Appendf(nil, "POST http://allowed.invalid/ HTTP/1.1\r\nHost: allowed.invalid\r\nContent-Length: 0\r\nContent-Length: %d\r\n\r\n%s", len(body), body)}
}

func smuggledChunk(target netip.AddrPort, n echo.Nonce) [][]byte {
	body := inner(target, n)
	return [][]byte{fmt.Appendf(nil, "POST http://allowed.invalid/ HTTP/1.1\r\nHost: allowed.invalid\r\nContent-Length: %d\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n%s", len(body)+5, body)}
}

func pipelined(target netip.AddrPort, n echo.Nonce) [][]byte {
	return [][]byte{[]byte("GET http://allowed.invalid/ HTTP/1.1\r\nHost: allowed.invalid\r\n\r\n" + inner(target, n))}
}

func upgrade(to string) request {
	return func(target netip.AddrPort, n echo.Nonce) [][]byte {
		return [][]byte{[]byte("GET http://" + target.String() + echo.Path + string(n) + " HTTP/1.1\r\nHost: " + target.String() +
			"\r\nConnection: Upgrade\r\nUpgrade: " + to + "\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n")}
	}
}

func (r *rig) closedAims() ([]aim, absence) {
	if len(r.closed) == 0 {
		return nil, absence{why: "the site names no listener beside the allowed destination", unproven: true}
	}
	var aims []aim
	for i, p := range r.closed {
		aims = append(aims, aim{addr: r.site.Closed[i].Addr, wall: bindingWall, post: p})
	}
	return aims, absence{}
}
