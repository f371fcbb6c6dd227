package agent

import (
	"bytes"

	"bottle.internal/internal/echo"
)

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
	Unsupported   Observation = "unsupported"    // the guest's kernel does not know this kind of socket, call or method, or keeps it from the guest
	Readable      Observation = "readable"       // a look found what it looked for
	Writable      Observation = "writable"       // a write went through
	Absent        Observation = "absent"         // there is no such thing in the guest
	ReadOnly      Observation = "read-only"      // EROFS
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
	"ENOENT":          Absent, // a unix socket's path
	"ENOTDIR":         Absent,
	"ENODEV":          Unsupported,
	"EAFNOSUPPORT":    Unsupported,
	"EPROTONOSUPPORT": Unsupported,
	"ESOCKTNOSUPPORT": Unsupported,
	"ENOSYS":          Unsupported,
	"ENOTSUP":         Unsupported, // firejail's seccomp filter answers so for families that it bans
}

// Observe reads the evidence in r, the result of a: how far it got, the errno, and the reply. It is a pure function, and the
// host's reading of a result is this one, whatever r.Observation says.
func Observe(a Attempt, r Result) Observation {
	switch r.Stage {
	case StageSkipped, StageUnfinished:
		return ProbeError
	case StagePrepare:
		return observePrepared(r)
	}
	switch a.Network {
	case Look:
		return observeLook(a, r)
	case Serve:
		return observeServe(r)
	case VSOCK:
		if a.Method == Sweep {
			return observeSweep(r)
		}
	}
	if reply, err := echo.ParseResponse(r.Reply); err == nil && reply.Nonce == r.Nonce {
		return Reachable
	}
	if tally, ok := ParseTally(r.Reply); ok && a.Method == Race {
		return observeRace(tally, r)
	}
	if len(r.Reply) > 0 {
		return observeForeign(a, r)
	}
	return observeSilence(a, r)
}

// observeSilence reads an attempt that had no answer.
func observeSilence(a Attempt, r Result) Observation {
	if notThisWay[r.Errno] && a.Method != "" && a.Method != Connected {
		return Unsupported
	}
	switch r.Stage {
	case StageSocket, StageConnect:
		return observeConnect(r)
	case StageWrite, StageRead, StageDone:
		if a.datagram() {
			return observeDatagram(r)
		}
		return observeStream(r)
	}
	return ProbeError
}

// noName is what stands for an errno where a name did not resolve, which no kernel has one for.
const noName = "ENONAME"

// notThisWay are the errnos by which a kernel says that it does not do with a socket what a method asks.
var notThisWay = map[string]bool{"EISCONN": true, "EALREADY": true, "EINVAL": true, "EOPNOTSUPP": true, "ENOPROTOOPT": true, "ENOSYS": true}

// observePrepared reads an attempt that ended before it began. What the kernel keeps from the guest is no wall's denial of the target, and
// must not be taken for one.
func observePrepared(r Result) Observation {
	switch r.Errno {
	case noName:
		return Unresolved
	case "EPERM", "EACCES", "ENODEV", "ENOSPC", "EUSERS", "ENOENT", "EAFNOSUPPORT", "EPROTONOSUPPORT", "ESOCKTNOSUPPORT":
		return Unsupported
	}
	if notThisWay[r.Errno] {
		return Unsupported
	}
	return ProbeError
}

// observeRace reads a race that met no echo. One without a single connection to Also was none: nothing shows that the wall was looking
// at that address.
func observeRace(t Tally, r Result) Observation {
	switch {
	case t.Addr > 0:
		return HandshakeOnly
	case t.Also == 0:
		return ProbeError
	case notThisWay[r.Errno]:
		return Unsupported
	}
	return observeConnect(r)
}

// observeForeign reads an answer that is no echo. A ping that comes back as it was sent may have been answered by anybody on the
// way.
func observeForeign(a Attempt, r Result) Observation {
	ping := a.Network == ICMP4 || a.Network == ICMP6
	if ping && bytes.Contains(r.Reply, []byte(r.Nonce)) {
		return HandshakeOnly
	}
	return Intercepted
}

// observeSweep reads what a sweep found: its answer is the list of ports that took a connection.
func observeSweep(r Result) Observation {
	switch {
	case len(r.Reply) > 0:
		return Readable
	case r.Errno == "" && r.Stage == StageDone:
		return Absent
	}
	return observeConnect(r)
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

// observeDatagram reads a datagram that was sent, as far as the sender can know, and met silence or an error. EINVAL is tsi's for a
// send after its connect was denied (libkrunfw 516ceece af_tsi.c).
func observeDatagram(r Result) Observation {
	switch r.Errno {
	case "", "ETIMEDOUT":
		return Filtered
	case "EINVAL":
		return Denied
	}
	return observeConnect(r)
}

// observeServe reads what came to the guest's own listener.
func observeServe(r Result) Observation {
	switch {
	case len(r.Reply) > 0:
		return Reachable
	case r.Errno != "":
		return observeConnect(r)
	}
	return Filtered
}

func observeLook(a Attempt, r Result) Observation {
	switch r.Errno {
	case "":
	case "ENOENT", "ENOTDIR", "ENXIO", "ENODEV":
		return Absent
	case "EROFS":
		return ReadOnly
	case "EACCES", "EPERM", "ELOOP", "EXDEV":
		return Denied
	case "ENOSYS", "EOPNOTSUPP", "EAFNOSUPPORT", "EINVAL":
		return Unsupported
	default:
		return ProbeError
	}
	switch {
	case r.Stage != StageDone:
		return ProbeError
	case a.Method == Write || a.Method == Create || a.Method == Leave:
		return Writable
	case len(r.Reply) == 0:
		return Absent
	}
	return Readable
}
