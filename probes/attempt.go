package probes

import (
	"fmt"
	"net/netip"
	"strings"
	"time"

	"bottle.internal/internal/echo"
	"bottle.internal/probes/agent"
)

// An Attempt is one dial, as far as it is known from both sides.
type Attempt struct {
	Target  string         `json:"target"`
	Network agent.Network  `json:"network"`
	Method  agent.Method   `json:"method,omitempty"` // how, where not in the plain way
	Address netip.AddrPort `json:"address,omitzero"` // not of a look, nor of a unix or vsock socket
	Path    string         `json:"path,omitempty"`   // what was looked at, or a unix socket's
	Nonce   echo.Nonce     `json:"nonce"`
	Round   int            `json:"round"`          // from 1
	Slow    bool           `json:"slow,omitempty"` // the second look at a silence, with three times the budget

	Stage     agent.Stage `json:"stage,omitempty"`
	Errno     string      `json:"errno,omitempty"`
	ConnectUS int64       `json:"connect_us,omitempty"`
	ElapsedUS int64       `json:"elapsed_us"`
	Reply     string      `json:"reply,omitempty"` // the beginning of an answer that is not the canary's

	// Claimed is what the guest's evidence says by itself.
	Claimed Observation `json:"claimed,omitempty"`
	// Observation is the host's reading of the guest's evidence, the proof and the sightings together.
	Observation Observation `json:"observation"`
	// Proved says that the answer bears a proof that only the target could make.
	Proved bool `json:"proved,omitempty"`
	// Forged says that the answer looks like the target's and bears a proof that is not.
	Forged bool `json:"forged,omitempty"`
	// Sightings are the arrivals of the nonce at the target; Elsewhere those at the allowed destination instead.
	Sightings []echo.Sighting `json:"sightings,omitempty"`
	Elsewhere []echo.Sighting `json:"elsewhere,omitempty"`
	// Shown is what the answer gave away that the guest must not have, "" if nothing.
	Shown string `json:"shown,omitempty"`
	// Lacks is what an answer has to have in it to count and has not, "" if nothing.
	Lacks string `json:"lacks,omitempty"`
	// Fault says why the guest's answer to this attempt does not count.
	Fault string `json:"fault,omitempty"`
}

// Elapsed is how long the attempt took, by the guest's clock.
func (a Attempt) Elapsed() time.Duration { return time.Duration(a.ElapsedUS) * time.Microsecond }

// String is the attempt in a line, without its target.
func (a Attempt) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s", a.place(), a.Observation)
	if a.Errno != "" {
		fmt.Fprintf(&b, " %s", a.Errno)
	}
	if a.Fault != "" {
		fmt.Fprintf(&b, " (%s)", a.Fault)
	}
	if n := len(a.Sightings); n > 0 {
		fmt.Fprintf(&b, ", seen %d× from %s", n, a.Sightings[0].Peer)
	}
	return b.String()
}

// place is where the attempt went, in words.
func (a Attempt) place() string {
	var words []string
	if a.Method != "" {
		words = append(words, string(a.Method))
	}
	switch {
	case a.Path != "":
		words = append(words, fmt.Sprintf("%q", a.Path))
	case a.Address.IsValid():
		words = append(words, a.Address.String())
	default:
		words = append(words, string(a.Network))
	}
	return strings.Join(words, " ")
}

// A joiner puts together what is known of attempts from the guest and from the listeners.
type joiner struct {
	results map[string]agent.Result
	faults  map[string]string
	fault   string // why nothing from the guest counts
}

// join is what became of s, aimed at target, given the sightings at the target and at the allowed destination. It reports
// false for an attempt whose condition did not hold and that was not made.
func (j joiner) join(s shot, target Target, seen, allowed []echo.Sighting) (Attempt, bool) {
	a := Attempt{
		Target: target.Name, Network: s.Network, Method: s.Method, Address: s.Addr, Path: printablePath(s.Path), Nonce: s.Nonce, Round: s.round, Slow: s.slow,
		Observation: ProbeError, Fault: j.fault,
		Sightings: of(s.Nonce, seen), Elsewhere: of(s.Nonce, allowed),
	}
	res, ok := j.results[s.ID]
	switch {
	case ok && res.Stage == agent.StageSkipped && len(a.Sightings) == 0 && len(a.Elsewhere) == 0:
		return Attempt{}, false
	case ok:
		a.take(s, res, target.Secret)
	case a.Fault == "":
		a.Fault = j.faults[s.ID]
	}
	if len(a.Sightings) > 0 && !a.Proved {
		a.Observation = OneWay
	}
	return a, true
}

// take reads the guest's evidence.
func (a *Attempt) take(s shot, res agent.Result, secret echo.Secret) {
	a.Stage, a.Errno, a.ConnectUS, a.ElapsedUS = res.Stage, res.Errno, res.ConnectUS, res.ElapsedUS
	a.Claimed = agent.Observe(s.Attempt, res)
	a.Observation = a.Claimed
	if len(res.Reply) == 0 {
		return
	}
	reply, err := echo.ParseResponse(res.Reply)
	if err == nil && secret.Verify(a.Nonce, reply) {
		a.Proved = true
		return
	}
	a.Reply = excerpt(res.Reply)
	if s.Reports() || a.Observation == HandshakeOnly {
		return // no listener of ours was to answer
	}
	a.Forged = a.Observation == Reachable
	a.Observation = Intercepted
}

// printablePath is a path without the zero byte of an abstract name.
func printablePath(p string) string { return strings.ReplaceAll(p, "\x00", "@") }

// of are the sightings of n.
func of(n echo.Nonce, all []echo.Sighting) []echo.Sighting {
	var mine []echo.Sighting
	for _, s := range all {
		if s.Nonce == n {
			mine = append(mine, s)
		}
	}
	return mine
}

// excerpt is the beginning of b, quoted as far as a terminal needs it.
func excerpt(b []byte) string {
	const most = 160
	more := ""
	if len(b) > most {
		b, more = b[:most], "…"
	}
	q := fmt.Sprintf("%q", b)
	return q[1:len(q)-1] + more
}
