package probes

import (
	"fmt"
	"slices"

	"bottle.internal/probes/agent"
)

// An Observation is what was seen of one attempt; it is not a judgement.
type Observation = agent.Observation

// The observations, as package agent defines them.
const (
	Reachable     = agent.Reachable
	OneWay        = agent.OneWay
	HandshakeOnly = agent.HandshakeOnly
	Intercepted   = agent.Intercepted
	Refused       = agent.Refused
	Reset         = agent.Reset
	Denied        = agent.Denied
	Unreachable   = agent.Unreachable
	Filtered      = agent.Filtered
	Unresolved    = agent.Unresolved
	Unsupported   = agent.Unsupported
	ProbeError    = agent.ProbeError
	Readable      = agent.Readable
	Writable      = agent.Writable
	Absent        = agent.Absent
	ReadOnly      = agent.ReadOnly
)

// A Verdict is what the judge says of one probe. The zero Verdict is none.
type Verdict string

// The verdicts.
const (
	Contained     Verdict = "contained"      // as the policy wants it: a denial that held, or an allowance that works
	Leak          Verdict = "leak"           // a canary saw a nonce that it should not have seen
	Overblocked   Verdict = "overblocked"    // an allowance that does not work
	Exposed       Verdict = "exposed"        // a leak under a live waiver
	Inconclusive  Verdict = "inconclusive"   // a control is missing: nothing is known, and that is red
	NotApplicable Verdict = "not-applicable" // it means nothing here, and the evidence for that is recorded
	Error         Verdict = "error"          // the prober failed, or its answer cannot be trusted
)

// byWeight orders verdicts from the worst. A leak is a fact whatever else went wrong, so it outweighs an error.
var byWeight = []Verdict{Leak, Overblocked, Error, Inconclusive, Exposed, Contained, NotApplicable}

// Verdicts are all verdicts, from the one that weighs most.
func Verdicts() []Verdict { return slices.Clone(byWeight) }

// Worse reports whether v weighs more than w. A verdict that is none of ours weighs as an error.
func (v Verdict) Worse(w Verdict) bool { return v.weight() < w.weight() }

func (v Verdict) weight() int {
	if i := slices.Index(byWeight, v); i >= 0 {
		return i
	}
	return slices.Index(byWeight, Error)
}

// An Expect is what a probe expects of a sound sandbox.
type Expect string

// The expectations.
const (
	Contain Expect = "contain" // the target stays out of reach
	Reach   Expect = "reach"   // the target answers with its proof
)

// A Severity is how bad it is when the expectation of a probe fails.
type Severity string

// The severities.
const (
	Critical Severity = "critical"
	High     Severity = "high"
	Medium   Severity = "medium"
	Low      Severity = "low"
	Info     Severity = "info"
)

// A State is what is known of a control. The zero State is not checked, which is never the same as failed.
type State int

// The states of a control.
const (
	NotChecked State = iota
	Held
	Failed
)

var stateNames = []string{NotChecked: "not checked", Held: "held", Failed: "failed"}

// String is "not checked", "held" or "failed".
func (s State) String() string {
	if s < 0 || int(s) >= len(stateNames) {
		return fmt.Sprintf("state %d", int(s))
	}
	return stateNames[s]
}

// MarshalText is String.
func (s State) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads what MarshalText wrote.
func (s *State) UnmarshalText(b []byte) error {
	i := slices.Index(stateNames, string(b))
	if i < 0 {
		return fmt.Errorf("probes: %q is no state of a control", b)
	}
	*s = State(i)
	return nil
}

// A Control is a fact that makes a probe mean something.
type Control struct {
	ID    string `json:"id"` // C0 to C5
	State State  `json:"state"`
	Text  string `json:"text"` // what was checked and what came out, or why it was not
}

// An Assurance is how much stands behind a verdict: L0 the probe ran; L1 and the prober, the target and the path are alive;
// L2 and a witness says who stopped it; L3 and a twin without the policy reaches the target; L4 and the probe has killed a
// mutant. "" is a probe that did not run.
type Assurance string

// The levels of assurance.
const (
	L0 Assurance = "L0"
	L1 Assurance = "L1"
	L2 Assurance = "L2"
	L3 Assurance = "L3"
	L4 Assurance = "L4"
)

// assurance is the level that the controls carry, each level on top of the one before.
func assurance(controls []Control) Assurance {
	held := make(map[string]bool)
	for _, c := range controls {
		held[c.ID] = c.State == Held
	}
	switch {
	case !held["C0"] || !held["C1"] || !held["C2"]:
		return L0
	case !held["C4"]:
		return L1
	case !held["C3"]:
		return L2
	case !held["C5"]:
		return L3
	}
	return L4
}
