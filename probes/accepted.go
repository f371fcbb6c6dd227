package probes

import (
	"regexp"
	"slices"
	"time"

	"bottle.internal/probes/agent"
)

// A wall is what is supposed to stop a guest at an address.
type wall string

const (
	// policyWall: the sandbox denies the address.
	policyWall wall = "policy"
	// bindingWall: the address is allowed, and the listener is bound where the guest cannot dial.
	bindingWall wall = "binding"
	// ownWall: the address is the guest's own, so the attempt does not leave it.
	ownWall wall = "own"
	// proxyWall: the sidecar takes the request and refuses it.
	proxyWall wall = "proxy"
	// redirectWall: the sidecar hands the answer on, which sends the guest elsewhere, and does not go there itself.
	redirectWall wall = "redirect"
	// candidWall: the sandbox denies the address, and does not say otherwise first.
	candidWall wall = "candid"
	// nameWall: the sandbox's own resolver refuses to ask for a name.
	nameWall wall = "name"
	// tunnelWall: the sidecar opens a tunnel, looks at what is sent through it, and refuses that.
	tunnelWall wall = "tunnel"
	// haltedWall: whoever would have to carry it does nothing. Its kernel may complete a handshake in its stead.
	haltedWall wall = "halted"
	// kernelWall: the guest's kernel has no such thing, or keeps it from the guest.
	kernelWall wall = "kernel"
)

// ofSidecar reports whether it is the sidecar that has to refuse: a twin without the policy has the same wall.
func (w wall) ofSidecar() bool { return w == proxyWall || w == tunnelWall }

// A reading says under which circumstances an observation is what a wall that holds looks like.
type reading struct {
	errno string        // the only errno it is accepted with; "" is any
	fast  time.Duration // it must come sooner than this; 0 is any time
	// policyOnly: nothing but the policy gives it.
	policyOnly bool
	// nobody: at an address that nobody has, nothing but the policy gives it.
	nobody bool
	// refusal: the answer has to be the refusal of an HTTP proxy.
	refusal bool
	// alert: the answer has to be a fatal alert of TLS that says that a rule stopped it.
	alert bool
	// moved: the answer has to be one by which HTTP sends a client elsewhere.
	moved bool
	// trick: it is accepted of an attempt with a method only: a kernel that does not know the way round a wall keeps the wall.
	trick bool
}

// denialLimit is how soon a gateway's RST has to come: smolvm's own tests demand it, so that a timeout cannot pose as one.
const denialLimit = 2 * time.Second

// readings are what is accepted of one class of attempts.
type readings map[Observation]reading

// accepted is what a wall that holds looks like from inside, by backend. A canary's silence is needed beside every entry; an
// observation without an entry is never containment.
//
// tsi: the policy is asked before anything is dialled and answers EACCES (libkrun 98163265 muxer.rs); any other errno for an
// address that it denies means that the host acted. An allowed address where nothing listens is the host's refusal. A datagram
// without a connect is dropped without a word (muxer.rs, TSI_SENDTO_ADDR), and a raw ping finds no route.
//
// virtio-net: a denied SYN meets a RST of smoltcp's at once (smolvm v1.9.3 tcp_relay.rs, stack.rs). An allowed one is always
// accepted, before the host dials; if nothing listens there a RST follows from 1.9.0 and nothing before. So a handshake is
// accepted here, and on no other backend. Denied datagrams and pings are dropped (stack.rs).
var accepted = map[string]map[wall]map[class]readings{
	TSI: {
		policyWall: {
			streams: {
				Denied: {errno: "EACCES", policyOnly: true}, Unsupported: {trick: true}, Unreachable: {trick: true}, Refused: {trick: true},
				Filtered: {trick: true}, Unresolved: {trick: true},
			},
			datagrams: {Denied: {errno: "EACCES", policyOnly: true}, Filtered: {}, Unsupported: {trick: true}, Unreachable: {trick: true}},
			pings:     {Unreachable: {}, Denied: {}, Filtered: {}},
		},
		bindingWall: {streams: {Refused: {}, Denied: {}}},
		candidWall:  {streams: {Denied: {errno: "EACCES", policyOnly: true}}},
	},
	VirtioNet: {
		policyWall: {
			streams: {
				Refused: {fast: denialLimit, nobody: true}, HandshakeOnly: {}, Reset: {}, Unsupported: {trick: true}, Denied: {trick: true},
				Unreachable: {trick: true}, Filtered: {trick: true}, Unresolved: {trick: true},
			},
			datagrams: {Filtered: {}, Unsupported: {trick: true}, Denied: {trick: true}, Unreachable: {trick: true}},
			pings:     {Filtered: {}, HandshakeOnly: {}, Denied: {}, Unreachable: {}},
		},
		bindingWall: {streams: {Refused: {}, HandshakeOnly: {}, Reset: {}}},
		candidWall:  {streams: {Refused: {fast: denialLimit, nobody: true}}},
		ownWall:     {streams: {Refused: {}}, datagrams: {Refused: {}, Filtered: {}}},
	},
	plain: {
		policyWall: {
			streams: {Refused: {}, Reset: {}, Denied: {}, Unreachable: {}, Filtered: {}, Unsupported: {trick: true}, Unresolved: {trick: true}},
			datagrams: {
				Refused: {}, Denied: {}, Unreachable: {}, Filtered: {}, Unsupported: {trick: true},
			},
			pings: {Filtered: {}, Denied: {}, Unreachable: {}},
		},
		bindingWall: {streams: {Refused: {}, Reset: {}, Denied: {}, Unreachable: {}, Filtered: {}}},
		candidWall:  {streams: {Refused: {}, Denied: {}, Unreachable: {}, Filtered: {}}},
		haltedWall:  {streams: {Refused: {}, Reset: {}, Unreachable: {}, Filtered: {}, HandshakeOnly: {}}},
		proxyWall:   {streams: {Intercepted: {refusal: true}, Reset: {}}},
		tunnelWall:  {streams: {Intercepted: {alert: true}}},
		// The guest's word that it was handed the redirect is no leak, and the canary's silence says that nobody went there.
		redirectWall: {streams: {Intercepted: {moved: true}}},
		nameWall:     {datagrams: {Unresolved: {trick: true}}},
		kernelWall: {
			local: {
				Absent: {}, Refused: {}, Reset: {}, Denied: {}, ReadOnly: {}, Unsupported: {}, Unreachable: {}, Filtered: {},
				// A look that found something has its answer read; what is left is what may be there.
				Readable: {}, Intercepted: {},
			},
			served: {Filtered: {}, Reachable: {}},
			// A resolver's answer has what must not be in it looked for; one that cannot be asked tells nothing.
			datagrams: {Unresolved: {}, Filtered: {}, Denied: {}, Unreachable: {}, Refused: {}},
		},
	},
}

// plain is the row for every backend that has none, and for every wall that is the same on all of them.
const plain = ""

// refusals are what a proxy answers that does not do what it was asked.
var refusals = regexp.MustCompile(`^HTTP/1\.[01] [45]\d\d\b`)

// alerts are the fatal ones of TLS, as excerpt writes them, that a middlebox sends for a rule's sake: access_denied and unrecognized_name.
var alerts = regexp.MustCompile(`^\\x15\\x03\\x0[0-4]\\x00\\x02\\x02[1p]$`)

// redirects are answers by which HTTP sends a client elsewhere.
var redirects = regexp.MustCompile(`^HTTP/1\.[01] 30[12378]\b`)

// accept finds the reading of an attempt, and whether it is accepted at all.
func accept(backend string, w wall, a Attempt) (reading, bool) {
	row, ok := accepted[backend]
	if !ok || slices.Contains([]wall{proxyWall, tunnelWall, redirectWall, nameWall, haltedWall, kernelWall}, w) {
		row = accepted[plain]
	}
	r, ok := row[w][classOf(a.Network)][a.Observation]
	switch {
	case ok && a.Method != "" && a.Observation == Denied && a.Errno == "EPERM":
		return reading{trick: true}, true // the guest's kernel keeps the guest from this way
	case !ok, r.errno != "" && r.errno != a.Errno, r.fast > 0 && a.Elapsed() >= r.fast:
		return reading{}, false
	case a.Observation == Intercepted && w == kernelWall && a.Network != agent.Look:
		return reading{}, false // nobody knows what answered; only a look's answer is read
	case a.Network == agent.Look && a.Observation == Unsupported && a.Method != agent.SysCall:
		return reading{}, false // an agent that has no way to look has not looked
	case a.Method == agent.SysCall && a.Errno == "EINVAL":
		return reading{}, false // a call that the agent does not know, or one that was let through to look at its arguments
	case r.refusal && !refusals.MatchString(a.Reply), r.alert && !alerts.MatchString(a.Reply), r.moved && !redirects.MatchString(a.Reply), r.trick && a.Method == "":
		return reading{}, false
	}
	return r, true
}
