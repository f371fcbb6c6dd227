package probes

import "time"

// A wall is what is supposed to stop a guest at an address.
type wall string

const (
	// policyWall: the sandbox denies the address.
	policyWall wall = "policy"
	// bindingWall: the address is allowed, and the listener is bound where the guest cannot dial.
	bindingWall wall = "binding"
	// ownWall: the address is the guest's own, so the attempt does not leave it.
	ownWall wall = "own"
)

// A reading says under which circumstances an observation is what a wall that holds looks like.
type reading struct {
	errno string        // the only errno it is accepted with; "" is any
	fast  time.Duration // it must come sooner than this; 0 is any time
	// policyOnly: nothing but the policy gives it.
	policyOnly bool
	// nobody: at an address that nobody has, nothing but the policy gives it.
	nobody bool
}

// denialLimit is how soon a gateway's RST has to come: smolvm's own tests demand it, so that a timeout cannot pose as one.
const denialLimit = 2 * time.Second

// accepted is what a wall that holds looks like from inside, by backend. A canary's silence is needed beside every entry; an
// observation without an entry is never containment.
//
// tsi: the policy is asked before anything is dialled and answers EACCES (libkrun 98163265 muxer.rs); any other errno for an
// address that it denies means that the host acted. An allowed address where nothing listens is the host's refusal.
//
// virtio-net: a denied SYN meets a RST of smoltcp's at once (smolvm v1.9.3 tcp_relay.rs, stack.rs). An allowed one is always
// accepted, before the host dials; if nothing listens there a RST follows from 1.9.0 and nothing before. So a handshake is
// accepted here, and on no other backend.
var accepted = map[string]map[wall]map[Observation]reading{
	TSI: {
		policyWall:  {Denied: {errno: "EACCES", policyOnly: true}},
		bindingWall: {Refused: {}, Denied: {}},
	},
	VirtioNet: {
		policyWall:  {Refused: {fast: denialLimit, nobody: true}, HandshakeOnly: {}, Reset: {}},
		bindingWall: {Refused: {}, HandshakeOnly: {}, Reset: {}},
		ownWall:     {Refused: {}},
	},
	plain: {
		policyWall:  {Refused: {}, Reset: {}, Denied: {}, Unreachable: {}, Filtered: {}},
		bindingWall: {Refused: {}, Reset: {}, Denied: {}, Unreachable: {}, Filtered: {}},
	},
}

// plain is the row for every backend that has none.
const plain = ""

// accept finds the reading of an attempt, and whether it is accepted at all.
func accept(backend string, w wall, a Attempt) (reading, bool) {
	row, ok := accepted[backend]
	if !ok {
		row = accepted[plain]
	}
	r, ok := row[w][a.Observation]
	if !ok || (r.errno != "" && r.errno != a.Errno) || (r.fast > 0 && a.Elapsed() >= r.fast) {
		return reading{}, false
	}
	return r, true
}
