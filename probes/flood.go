package probes

import (
	"net/netip"
	"time"

	"bottle.internal/probes/agent"
)

const (
	// floodDials are many times what a batch has refused, and fewer than the denials that an engine logs in a second, so that those of the
	// attempts around it are still to be found.
	floodDials = 1024
	// floodBudget is twice what they may take: a quarter of them in half of it is a flood, and less is none.
	floodBudget = 4 * time.Second
)

// floodProbes put a wall under load.
var floodProbes = []Probe{{
	ID: "res.flood", Family: "res", Severity: Medium, Expect: Contain,
	What: "Dial a canary on the host, and where it does not answer a thousand times as fast as the guest can, and then once more.",
	Why:  "What decides about each flow may stop deciding when there are too many: a full table, a log that cannot be written, a process that was killed for its memory.",
	Control: canaryControl + " The allowed destination's echo after the flood shows that what enforces lived through it, and the canary's that the host did. " +
		"A guest that is too slow for a flood has said nothing.",
	Remedy: "Have the policy deny where it cannot decide, and bound what a guest can have it do: flows, log, memory.",
	Source: "smolvm v1.9.3 (its denial log is bounded and rotated; tcp_relay.rs MAX_CONNECTIONS)",
	Where:  "Everywhere. It is a thousand flows of one guest: it finds what opens under load, and not what breaks after hours of it.",
	aims:   (*rig).floodAims,
}}

// floodAims aim at a canary of its own: connections without a nonce, which a flood may leave behind, say nothing of other attempts.
func (r *rig) floodAims() ([]aim, absence) {
	hosts := r.hosts(isAny4)
	if len(hosts) == 0 {
		return nil, absence{why: "this host has no IPv4 address beside its loopback and the allowed one"}
	}
	at := netip.AddrPortFrom(hosts[0].Addr, 0)
	p, err := r.newCanary(at)
	a := r.aimAt(at, p, err)
	a.method, a.count, a.budget = agent.Flood, floodDials, floodBudget
	return []aim{a}, absence{}
}
