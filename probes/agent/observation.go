package agent

import "bottle.internal/internal/echo"

// An Observation is what a guest saw of one attempt. It is a reading of errno, stage and reply, not a judgement.
type Observation string

// The observations. One-way is never the guest's: only a canary can see it.
const (
	Reachable     Observation = "reachable"      // the canary's answer to this nonce came back
	OneWay        Observation = "one-way"        // the nonce arrived, nothing came back
	HandshakeOnly Observation = "handshake-only" // connected, and not one byte came back
	Intercepted   Observation = "intercepted"    // something answered, and it is not the canary
	Refused       Observation = "refused"        // ECONNREFUSED: a RST in answer to the SYN, or a host's refusal handed on
	Reset         Observation = "reset"          // connected, then a RST
	Denied        Observation = "denied"         // EACCES, EPERM
	Unreachable   Observation = "unreachable"    // no route, no such host, no such address
	Filtered      Observation = "filtered"       // silence until the budget ran out
	Unresolved    Observation = "unresolved"     // a name did not resolve
	Unsupported   Observation = "unsupported"    // the guest's kernel does not know this kind of socket
	ProbeError    Observation = "probe-error"    // the attempt could not be made
)

// byErrno reads an errno at socket and connect. An errno that is not here says more about the prober than about the target.
//
// ENODATA is 61, which is ECONNREFUSED on macOS: libkrun hands the host's number on untranslated for a refusal that comes
// late (libkrun 98163265 tsi_stream.rs).
var byErrno = map[string]Observation{
	"ECONNREFUSED":    Refused,
	"ENODATA":         Refused,
	"ECONNRESET":      Reset,
	"EACCES":          Denied,
	"EPERM":           Denied,
	"ENETUNREACH":     Unreachable,
	"EHOSTUNREACH":    Unreachable,
	"ENETDOWN":        Unreachable,
	"EHOSTDOWN":       Unreachable,
	"EADDRNOTAVAIL":   Unreachable,
	"ETIMEDOUT":       Filtered,
	"EAFNOSUPPORT":    Unsupported,
	"EPROTONOSUPPORT": Unsupported,
	"ESOCKTNOSUPPORT": Unsupported,
	"ENOSYS":          Unsupported,
}

// Observe reads the evidence in r: how far the attempt with this nonce got, the errno, and the reply. It is a pure function, and
// the host's reading of a result is this one, whatever r.Observation says.
func Observe(r Result) Observation {
	if r.Stage == StageSkipped || r.Stage == StageUnfinished {
		return ProbeError
	}
	if reply, err := echo.ParseResponse(r.Reply); err == nil && reply.Nonce == r.Nonce {
		return Reachable
	}
	if len(r.Reply) > 0 {
		return Intercepted
	}
	switch r.Stage {
	case StageSocket, StageConnect:
		return observeConnect(r)
	case StageWrite, StageRead, StageDone:
		return observeStream(r)
	}
	return ProbeError
}

func observeConnect(r Result) Observation {
	if o, ok := byErrno[r.Errno]; ok {
		return o
	}
	if r.Errno == "" && r.Stage == StageConnect {
		return Filtered
	}
	return ProbeError
}

// observeStream reads a stream that was connected and gave nothing back.
func observeStream(r Result) Observation {
	switch r.Errno {
	case "", "ETIMEDOUT":
		return HandshakeOnly
	case "ECONNRESET", "EPIPE", "ECONNABORTED", "ENOTCONN":
		return Reset
	}
	return observeConnect(r)
}
