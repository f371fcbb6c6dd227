package probes

import (
	"bottle.internal/probes/agent"
)

const icmpControl = "A world stands in for the internet, or a raw socket of this run hears echo requests at the host's address, and is alive before and after; the " +
	"allowed destination echoes a nonce before and after in the same batch; it never sees a nonce of the probe. A reply shows nothing: gateways answer pings for anybody."

// icmpProbes are the probes of family net.icmp.
var icmpProbes = []Probe{
	ping("net.icmp.echo.v4", Medium, "Ping public addresses, with the nonce as payload.", "", agent.ICMP4, "8.8.8.8:1", "1.1.1.1:1"),
	ping("net.icmp.raw.v4", Medium, "Ping a public address from a raw socket.", agent.Raw, agent.ICMP4, "8.8.8.8:1"),
	ping("net.icmp.metadata.v4", Low, "Ping 169.254.169.254.", "", agent.ICMP4, "169.254.169.254:1"),
	ping("net.icmp.echo.v6", Medium, "Ping a public IPv6 address, with the nonce as payload.", "", agent.ICMP6, "[2001:4860:4860::8888]:1"),
	{
		ID: "net.icmp.tunnel", Family: "net.icmp", Severity: Medium, Expect: Contain,
		What: "Ping a public address with a kilobyte of payload that holds the nonce.", Why: "Echo payloads carry data both ways, and filters that let small pings pass for diagnosis rarely look at their size.",
		Control: icmpControl, Remedy: policyRemedy, Source: "agentcage CTF; shuru#28", Where: worldWhere,
		aims: func(r *rig) ([]aim, absence) {
			return r.worldAims(func(a *aim) {
				overICMP(a)
				a.send = padded
			}, "8.8.8.8:1")
		},
	},
}

func ping(id string, s Severity, what string, m agent.Method, network agent.Network, addrs ...string) Probe {
	return Probe{
		ID: id, Family: "net.icmp", Severity: s, Expect: Contain, What: what,
		Why:     "The payload of a ping leaves with it, and user-space gateways answer or relay pings by rules of their own.",
		Control: icmpControl, Remedy: policyRemedy, Source: "shuru#28 (a gateway that answers any ping); smolvm icmp_relay.rs", Where: worldWhere,
		aims: func(r *rig) ([]aim, absence) {
			return r.worldAims(func(a *aim) { a.network, a.method = network, m }, addrs...)
		},
	}
}

func overICMP(a *aim) {
	a.network = agent.ICMP4
	if a.addr.Addr().Is6() {
		a.network = agent.ICMP6
	}
}
