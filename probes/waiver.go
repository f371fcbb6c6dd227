package probes

import (
	"fmt"
	"time"
)

// A Waiver is a leak that is known and that somebody answers for, for a time. Who applies it to a finding records it there; this
// package judges without waivers. The zero Waiver covers nothing.
type Waiver struct {
	ID       string      `json:"id"`       // a probe's id, or a pattern as Select takes it
	Target   string      `json:"target"`   // what it is about: an address, a prefix, either with a port, or "*"
	Expected Observation `json:"expected"` // the worst observation that it covers
	Reason   string      `json:"reason"`
	// Reference is where others can read of it: an address, the number of an issue, a path in public source.
	Reference string `json:"reference"`
	Owner     string `json:"owner"` // who answers for it
	// Engine is RealEngine where a simulation of the engine is known not to have what it names: there it is left out. "" is any.
	Engine string `json:"engine,omitempty"`
	// Expires is the moment from which on it covers nothing.
	Expires time.Time `json:"expires"`
}

// RealEngine is every engine but a simulated one.
const RealEngine = "real"

// String is the waiver in a line.
func (w Waiver) String() string {
	return fmt.Sprintf("%s at %s, up to %s, until %s, by %s: %s (%s)", w.ID, w.Target, w.Expected, w.Expires.Format(time.DateOnly), w.Owner, w.Reason, w.Reference)
}

// Leaked reports whether the attempt alone makes a leak of a denial, as the judge sees it: the target saw the nonce, or what only
// the target knows came back, or something that the guest must not have.
func (a Attempt) Leaked() bool {
	return len(a.Sightings) > 0 || a.Shown != "" || a.Proved && len(a.Elsewhere) == 0
}
