package probes

import (
	"cmp"
	"encoding/binary"
	"slices"

	"bottle.internal/internal/echo"
	"bottle.internal/probes/agent"
)

// nameProbes are those about policies that have names in them.
var nameProbes = []Probe{
	{
		ID: "net.dns.hosts-spoof", Family: "net.dns", Severity: High, Expect: Contain,
		What:    "Dial a canary of the host's by its address under the name of a host that is allowed, by HTTP's Host and by TLS's server name, as every program of a guest does whose hosts file has the name beside that address.",
		Why:     "What a guest calls an address is the guest's to choose: its hosts file, its resolver and its requests are its own. A wall that goes by the name in a request is none.",
		Control: canaryControl, Remedy: "Decide by the address that is dialled, or resolve the name yourself and dial that.",
		Source: "E2B (a filter by server name that took the guest's word for the address)", Where: "Where the policy or the proxy's list has a name (bottletest.Config.ProxyOrigin). Elsewhere there is no name to take: not applicable.",
		aims: (*rig).spoofAims,
	},
	{
		ID: "net.dns.gateway.filter", Family: "net.dns", Severity: High, Expect: Contain,
		What:    "Ask the guest's resolver for a name that is not among those which the policy lets through.",
		Why:     "A policy by names is kept by the resolver: one that forwards the others leaks by the question, and what comes back may be learned as allowed.",
		Control: dnsControl + " A refusal has to be the resolver's own: REFUSED, or NXDOMAIN without the SOA that a real zone's has. Silence is none, for a dead resolver is silent too.",
		Remedy:  "Have the resolver answer for the names of the policy and for no others.",
		Source:  "microsandbox dns_matrix (synthetic and real NXDOMAIN); smolvm v1.9.3 classify_dns_query",
		Where:   "Where the policy lets hosts through by name. A bottle's goes by address alone, and what its resolver does is net.dns.system.exfil's question: not applicable.",
		aims:    (*rig).filterAims,
	},
}

// allowedNames are the names that the policy or the proxy's list lets through.
func (s Site) allowedNames() []string {
	names := slices.Clone(s.AllowNames)
	if s.Proxy != nil && s.Proxy.Origin.Name != "" {
		names = append(names, s.Proxy.Origin.Name)
	}
	return names
}

// noNames is why there is no name to take.
const noNames = "the policy goes by address alone, and nothing else here has a name on a list"

// spoofAims dial a canary under the first of the allowed names.
func (r *rig) spoofAims() ([]aim, absence) {
	names := r.site.allowedNames()
	if len(names) == 0 {
		return nil, absence{why: noNames}
	}
	var aims []aim
	for _, send := range []func(echo.Nonce) [][]byte{
		func(n echo.Nonce) [][]byte {
			return [][]byte{[]byte("GET " + echo.Path + string(n) + " HTTP/1.1\r\nHost: " + names[0] + "\r\nConnection: close\r\n\r\n")}
		},
		func(n echo.Nonce) [][]byte { return [][]byte{helloTo(names[0], string(n))} },
	} {
		some, none := r.firstHost(func(a *aim) { a.send = send })
		if none.why != "" {
			return nil, none
		}
		aims = append(aims, some...)
	}
	return aims, absence{}
}

// filterAims ask for a name with a nonce.
func (r *rig) filterAims() ([]aim, absence) {
	if len(r.site.AllowNames) == 0 {
		return nil, absence{why: "the policy lets no host through by name, so that its resolver has nothing to filter by: net.dns.system.exfil asks which names get out"}
	}
	return r.worldAims(func(a *aim) {
		overUDP(a)
		a.method, a.send, a.wall, a.reads = agent.Resolver, nameA, nameWall, readRefusal
	}, resolverPort)
}

// readRefusal is Unresolved for a resolver's own refusal, and "" for any other answer (RFC 1035, 4.1.1).
func readRefusal(b []byte) Observation {
	const head, response, nxdomain, refused = 12, 0x80, 3, 5
	if len(b) < head || b[2]&response == 0 {
		return ""
	}
	answers, authorities := binary.BigEndian.Uint16(b[6:]), binary.BigEndian.Uint16(b[8:])
	switch code := b[3] & 0x0f; {
	case answers > 0:
		return ""
	case code == refused, code == nxdomain && authorities == 0:
		return Unresolved
	}
	return ""
}

// reading is what an answer is read as, beyond what any answer is.
func (a aim) reading(reply []byte, otherwise Observation) Observation {
	if a.reads == nil || otherwise != Intercepted {
		return otherwise
	}
	return cmp.Or(a.reads(reply), otherwise)
}
