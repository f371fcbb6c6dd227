package probes

import (
	"net/netip"
	"time"

	"bottle.internal/probes/agent"
)

const (
	evasionRemedy = "The wall looks at one way of making a connection and not at the packets: it has to be outside the guest."
	evasionWhere  = "Everywhere. A kernel that does not know the way keeps the wall, and the finding says so."
)

// evasionProbes dial an address that is denied in ways that a wall made of hooks may not see.
var evasionProbes = []Probe{
	evasion("net.tcp.iouring", High, agent.IOUring, "by io_uring, which makes no connect call",
		"A filter of system calls does not see what a ring submits.", "codex#10814"),
	evasion("net.tcp.fast-open", High, agent.FastOpen, "with the first bytes in the SYN (MSG_FASTOPEN), which makes no connect call",
		"A hook at connect is not called.", "libkrunfw 516ceece af_tsi.c (sendto while hybrid)"),
	evasion("net.tcp.unspec", High, agent.Unspec, "after a connect to the allowed destination and one to AF_UNSPEC, which takes it back",
		"A wall that decides once per socket has decided.", "libkrunfw 516ceece af_tsi.c (EINVAL for AF_UNSPEC)"),
	evasion("net.tcp.same-socket", High, agent.SameSocket, "on the socket that is connected to the allowed destination",
		"A wall that decides once per socket has decided.", "libkrun 98163265 tsi_stream.rs"),
	evasion("net.tcp.own-netns", High, agent.OwnNetNS, "from a fresh network namespace in the guest",
		"On tsi a namespace without a network still reaches the host; a wall inside the guest's first namespace is not in the second.", "smolvm#785, smolvm#797"),
	evasion("net.tcp.sockaddr-race", High, agent.Race, "while another thread flips the address in memory between the allowed one and this",
		"A wall that reads the address from the caller's memory reads another than the kernel uses.", "seccomp_unotify(2), the race that it warns of"),
	evasion("net.tcp.source-spoof", High, agent.Source, "from a second address that the guest gives itself",
		"A wall that goes by the source lets through who takes another.", "n8n sandbox network_out tests"),
	evasion("net.route.tamper", Critical, agent.Route, "after the guest's routes were changed to lead there by the allowed destination",
		"Root in the guest owns its routes and its firewall: a wall made of them is no wall.", "gh-aw-firewall red-team benchmark"),
	evasion("net.tcp.relay-exhaustion", Medium, agent.Exhaust, "while hundreds of flows to the allowed destination are held",
		"A relay whose table is full drops or lets pass without looking; and a parallel scan makes every later denial mean nothing.", "smolvm tcp_relay.rs MAX_CONNECTIONS"),
}

func evasion(id string, s Severity, m agent.Method, how, why, source string) Probe {
	family := "net.tcp"
	if m == agent.Route {
		family = "net.route"
	}
	return Probe{
		ID: id, Family: family, Severity: s, Expect: Contain,
		What: "Dial a canary on the host " + how + ".", Why: why,
		Control: canaryControl, Remedy: evasionRemedy, Source: source, Where: evasionWhere,
		aims: func(r *rig) ([]aim, absence) {
			if r.site.Simulated && (m == agent.Route || m == agent.Source) {
				return nil, absence{why: "a simulated guest has no rights over its interfaces, as root in a VM has: there is nothing to try"}
			}
			return r.firstHost(func(a *aim) { r.shapeEvasion(a, m) })
		},
	}
}

const (
	raceRounds    = 200
	raceBudget    = 2 * time.Second // a fifth of it, or as many rounds as fit, where there was a race
	exhaustedWith = 300             // more than the 256 flows that smolvm's relay table holds
)

func (r *rig) shapeEvasion(a *aim, m agent.Method) {
	a.method = m
	switch m {
	case agent.Race:
		a.count, a.budget = raceRounds, raceBudget
	case agent.Exhaust:
		a.count = exhaustedWith
	}
	a.also = r.site.Allowed.Addr
	if m == agent.Source {
		a.also = netip.AddrPortFrom(spoofed, 0)
	}
}

// spoofed is the address that a guest gives itself: of the benchmarking range (RFC 2544), so nobody's.
var spoofed = netip.MustParseAddr("198.18.0.77")
