package probes

import (
	"bytes"
	"fmt"
	"net/netip"

	"bottle.internal/internal/echo"
)

// redirectPath begins the path of a request that an OriginCanary answers by sending the client elsewhere.
const redirectPath = "/.bottle/elsewhere/"

// answerProbes look at what a proxy makes of answers.
var answerProbes = []Probe{
	{
		ID: "proxy.redirect", Family: "proxy", Severity: Medium, Expect: Contain,
		What:    "Ask the proxy to fetch a page of the origin on its list, which answers that the page has moved to a canary that is not on it.",
		Why:     "A proxy that follows redirects on the client's behalf goes where the origin sends it, and asks its list only about the first step.",
		Control: proxyControl + " The origin's redirect comes back to the guest: it was asked, and it did send the client elsewhere.",
		Remedy:  "Hand redirects to the client, which has to ask again; or hold every step against the list.",
		Source:  "CWE-918 (a request forged by a redirect); agent-egress-bench", Where: originWhere,
		aims: func(r *rig) ([]aim, absence) { return r.proxyAims([]road{redirected}) },
	},
	{
		ID: "proxy.blockpage-identity", Family: "proxy", Severity: Medium, Expect: Contain,
		What:    "Ask the proxy to fetch a canary that is not on its list, and look at who says no.",
		Why:     "A page that says \"blocked\" with status 200 looks like the page itself to whoever goes by the status, and one that somebody else on the way has made says nothing of this proxy.",
		Control: proxyControl + " What comes back is a refusal by its status, and has in it what this proxy's refusals have.",
		Remedy:  "Refuse with 403 or 407 and a text of the proxy's own.",
		Source:  "glovebox#2188 (a block page with status 200)", Where: "Where the site says what a refusal of its proxy looks like, as a bottle of the default bundle does.",
		aims: (*rig).blockPageAims,
	},
}

// redirected asks the origin for a page that is elsewhere.
func redirected(r *rig, p Proxy) (aim, absence) {
	o, none := r.allowedOrigin(p)
	if none.why != "" {
		return aim{}, none
	}
	beside, err := r.behindProxy(Proxy{Near: p.Origin.Addr.Addr(), Dial: p.Dial})
	if err != nil {
		return aim{}, absence{why: err.Error(), unproven: true}
	}
	o.canary.redirect(beside.Addr)
	at := p.Origin.listed()
	return aim{post: beside, wall: redirectWall, send: func(n echo.Nonce) [][]byte {
		return [][]byte{fmt.Appendf(nil, "GET http://%s%s%s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", at, redirectPath, n, at)}
	}}, absence{}
}

// blockPageAims ask for what is denied, and want the proxy's own words.
func (r *rig) blockPageAims() ([]aim, absence) {
	if p := r.site.Proxy; p != nil && p.Refusal == "" {
		return nil, absence{why: "the site does not say what a refusal of its proxy looks like", unproven: true}
	}
	aims, none := r.proxyAims([]road{near(fetchFrom("GET"))})
	for i := range aims {
		aims[i].needs = r.site.Proxy.Refusal
	}
	return aims, none
}

// redirect has the origin send whoever asks for redirectPath and a nonce to the echo of that nonce at to.
func (c *OriginCanary) redirect(to netip.AddrPort) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.elsewhere = to
}

// moved is the answer to m if it is to be one.
func (c *OriginCanary) moved(m message, b []byte) []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	if m.form != "http" || m.nonce == "" || !c.elsewhere.IsValid() || !bytes.Contains(b, []byte(redirectPath)) {
		return nil
	}
	return fmt.Appendf(nil, "HTTP/1.1 302 Found\r\nLocation: http://%s%s%s\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", c.elsewhere, echo.Path, m.nonce)
}
