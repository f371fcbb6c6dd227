package agent

import (
	"testing"
)

// What a method met before it could dial is no denial of the target, and a race shows something only if it went both ways.
func TestObserveMethods(t *testing.T) {
	for _, c := range []struct {
		network Network
		method  Method
		stage   Stage
		errno   string
		reply   string
		want    Observation
	}{
		{TCP4, Source, StagePrepare, "EPERM", "", Unsupported},
		{TCP4, OwnNetNS, StagePrepare, "EACCES", "", Unsupported},
		{TCP4, OwnNetNS, StagePrepare, "ENOSPC", "", Unsupported},
		{TCP4, IOUring, StagePrepare, "ENOSYS", "", Unsupported},
		{TCP4, Exhaust, StagePrepare, "ECONNREFUSED", "", ProbeError},
		{TCP4, Exhaust, StagePrepare, "", "", ProbeError},
		{TCP4, OwnNetNS, StageConnect, "EACCES", "", Denied},
		{TCP4, SameSocket, StageConnect, "EISCONN", "", Unsupported},
		{TCP4, "", StageConnect, "EINVAL", "", ProbeError},
		{TCP4, FastOpen, StageConnect, "EOPNOTSUPP", "", Unsupported},
		{UDP4, Connected, StageWrite, "EINVAL", "", Denied},
		{UDP4, Batched, StageWrite, "EINVAL", "", Unsupported},
		{UDP4, "", StageRead, "", "", Filtered},
		{TCP4, Race, StageConnect, "EACCES", "also=3 addr=0", Denied},
		{TCP4, Race, StageConnect, "", "also=3 addr=0", Filtered},
		{TCP4, Race, StageConnect, "EACCES", "also=0 addr=0", ProbeError},
		{TCP4, Race, StageRead, "", "also=3 addr=1", HandshakeOnly},
		{TCP4, Race, StagePrepare, "", "also=9 addr=0", ProbeError},
		{TCP4, Race, StageDone, "", "also=-1 addr=0", Intercepted},
		{TCP4, Race, StageDone, "", "also=1 addr=0 and more", Intercepted},
		{TCP4, "", StageDone, "", "also=3 addr=0", Intercepted},
		{VSOCK, Sweep, StageDone, "", "22\n", Readable},
		{VSOCK, Sweep, StageConnect, "ECONNRESET", "", Reset},
		{Unix, "", StageConnect, "ENOENT", "", Absent},
	} {
		a := Attempt{Network: c.network, Method: c.method}
		if got := Observe(a, Result{Stage: c.stage, Errno: c.errno, Reply: []byte(c.reply)}); got != c.want {
			t.Errorf("%s %s at %s: %s %q: %q, want %q", c.network, c.method, c.stage, c.errno, c.reply, got, c.want)
		}
	}
}

func TestReports(t *testing.T) {
	for network, all := range methods {
		for _, m := range append([]Method{""}, all...) {
			want := network == Look || network == Serve || m == Race || m == Sweep
			if got := (Attempt{Network: network, Method: m}).Reports(); got != want {
				t.Errorf("%s %s: %t", network, m, got)
			}
		}
	}
}

// Every method of the table can be made: none falls through to a nil function.
func TestEveryMethodIsMade(t *testing.T) {
	for network, all := range methods {
		for _, m := range all {
			_, made := ways[m]
			switch network {
			case UDP4, UDP6:
				_, made = senders[m]
			case Look:
				_, made = lookers[m]
			case ICMP4, ICMP6, VSOCK:
				made = true
			}
			if !made && m != OwnNetNS {
				t.Errorf("%s has no %s", network, m)
			}
		}
	}
}

func TestValidateMethods(t *testing.T) {
	for name, c := range map[string]struct {
		edit func(*Attempt)
		ok   bool
	}{
		"no second address":        {func(a *Attempt) { a.Method = SameSocket }, false},
		"a second without a port":  {func(a *Attempt) { a.Method, a.Also = Race, at("10.0.0.1", 0) }, false},
		"an IPv6 second":           {func(a *Attempt) { a.Method, a.Also = Exhaust, at("::1", 1) }, false},
		"a second":                 {func(a *Attempt) { a.Method, a.Also = Unspec, at("10.0.0.1", 1) }, true},
		"a source without a port":  {func(a *Attempt) { a.Method, a.Also = Source, at("10.0.0.1", 0) }, true},
		"no source":                {func(a *Attempt) { a.Method = Source }, false},
		"a gateway":                {func(a *Attempt) { a.Method, a.Also = Route, at("10.0.0.1", 0) }, true},
		"a method of another":      {func(a *Attempt) { a.Method = Connected }, false},
		"an empty message":         {func(a *Attempt) { a.Send = [][]byte{{}} }, false},
		"too many messages":        {func(a *Attempt) { a.Send = make([][]byte, maxSend+1) }, false},
		"a look without a method":  {func(a *Attempt) { a.Network = Look }, false},
		"a unix socket of nowhere": {func(a *Attempt) { a.Network = Unix }, false},
		"ports the wrong way":      {func(a *Attempt) { a.Network, a.VPort, a.VPortTo = VSOCK, 5, 4 }, false},
	} {
		r := pair()
		c.edit(&r.Attempts[0])
		if err := r.Validate(); (err == nil) != c.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
}
