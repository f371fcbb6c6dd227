package probes

import (
	"bottle.internal/internal/echo"
	"bottle.internal/probes/agent"
)

const (
	dnsControl = "A world stands in for the internet, and every name that is asked anywhere ends there; it is alive before and after; the allowed " +
		"destination echoes a nonce before and after in the same batch; the world never sees a name with a nonce of the probe. The answer plays no part: a name that is asked has left."
	dnsWhy    = "A name is data: whoever can have names resolved can send anything, a label at a time, to whoever serves the zone."
	dnsRemedy = "Filter names (--allow-host instead of --allow-cidr where the release filters by name), or let the guest resolve nothing: the bundle's proxy does it for the guest. Or waive it, with the release and an end."
	dnsSource = "microsandbox#675; OpenShell#1169; smolvm stack.rs (UDP/53 to any address is answered by the gateway)"
)

// dnsProbes are the probes of family net.dns.
var dnsProbes = []Probe{
	dns("net.dns.system.exfil", Critical, "Ask the guest's own resolver for a name that holds the nonce.", func(a *aim) { a.method = agent.Resolver }, nameA, resolverPort),
	dnsTCP("net.dns.system.tcp", High, "Ask the guest's own resolver for such a name over TCP.", func(a *aim) { a.method = agent.Resolver }, resolverPort),
	dns("net.dns.direct.udp", Critical, "Ask public resolvers directly for a name that holds the nonce.", nil, nameA, "8.8.8.8:53", "9.9.9.9:53"),
	dns("net.dns.auto-resolver", High, "Ask 1.1.1.1, which smolvm 0.8.0 allows unasked.", nil, nameA, "1.1.1.1:53"),
	dnsTCP("net.dns.direct.tcp", Critical, "Ask public resolvers directly over TCP.", nil, "8.8.8.8:53", "9.9.9.9:53"),
	dns("net.dns.direct.v6", High, "Ask a public resolver directly over IPv6.", nil, nameA, "[2001:4860:4860::8888]:53"),
	dns("net.dns.odd-port", High, "Ask resolvers on ports 5353 and 5300.", nil, nameA, "8.8.8.8:5353", "8.8.8.8:5300"),
	dns("net.dns.qtypes", Medium, "Ask public resolvers for TXT, NULL and ANY of such a name.", nil, nameOdd, "8.8.8.8:53"),
	dns("net.dns.metadata", High, "Ask 169.254.169.254, a cloud's resolver, for such a name.", nil, nameA, "169.254.169.254:53"),
	hello("net.dns.dot", "Begin DNS over TLS with public resolvers, the nonce in the name of the server.", []string{"dot"}, "1.0.0.1:853", "8.8.8.8:853"),
	hello("net.dns.doh", "Begin DNS over HTTPS with public resolvers, the nonce in the name of the server.", []string{"h2", "http/1.1"}, "1.0.0.1:443", "8.8.8.8:443"),
	{
		ID: "net.dns.doh.plain", Family: "net.dns", Severity: High, Expect: Contain,
		What: "Send a DNS query by HTTP to public addresses, the nonce in the name that it asks for.", Why: dnsWhy, Control: dnsControl, Remedy: policyRemedy,
		Source: "gh-aw-firewall (a test of DoH that sent no valid query)", Where: worldWhere,
		aims: func(r *rig) ([]aim, absence) {
			return r.worldAims(func(a *aim) { a.send = sendDoH }, "8.8.8.8:80")
		},
	},
}

// resolverPort aims at port 53 of whatever the guest has for a resolver. The address is one for documentation: the agent puts the
// resolver's in its place.
const resolverPort = "198.51.100.53:53"

func dns(id string, s Severity, what string, shape func(*aim), send func(echo.Nonce) [][]byte, addrs ...string) Probe {
	return Probe{
		ID: id, Family: "net.dns", Severity: s, Expect: Contain, What: what, Why: dnsWhy, Control: dnsControl, Remedy: dnsRemedy, Source: dnsSource, Where: worldWhere,
		aims: func(r *rig) ([]aim, absence) {
			return r.worldAims(func(a *aim) {
				overUDP(a)
				a.send = send
				if shape != nil {
					shape(a)
				}
			}, addrs...)
		},
	}
}

func dnsTCP(id string, s Severity, what string, shape func(*aim), addrs ...string) Probe {
	return Probe{
		ID: id, Family: "net.dns", Severity: s, Expect: Contain, What: what, Why: dnsWhy, Control: dnsControl, Remedy: dnsRemedy, Source: dnsSource, Where: worldWhere,
		aims: func(r *rig) ([]aim, absence) {
			return r.worldAims(func(a *aim) {
				a.send = sendDNSOverTCP
				if shape != nil {
					shape(a)
				}
			}, addrs...)
		},
	}
}

// hello begins TLS: that the first message arrives is enough.
func hello(id, what string, alpn []string, addrs ...string) Probe {
	return Probe{
		ID: id, Family: "net.dns", Severity: High, Expect: Contain, What: what,
		Why:     "Encrypted resolvers are reached on ports that are open for other reasons, and nobody sees the names.",
		Control: worldControl, Remedy: policyRemedy, Source: "gh-aw-firewall; claude-code#36907", Where: worldWhere,
		aims: func(r *rig) ([]aim, absence) {
			return r.worldAims(func(a *aim) { a.send = sendHello(alpn...) }, addrs...)
		},
	}
}
