package probes

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"bottle.internal/internal/echo"
	"bottle.internal/internal/golden"
	"bottle.internal/probes/agent"
)

var (
	testTime  = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	loopback  = netip.MustParseAddrPort("127.0.0.1:4711")
	loopback6 = netip.MustParseAddrPort("[::1]:4711")
	gateway   = netip.MustParseAddrPort("100.96.0.1:4711")
)

func nonce(n int) echo.Nonce { return echo.Nonce(fmt.Sprintf("%032x", n)) }

func seen(n int) []echo.Sighting {
	return []echo.Sighting{{Name: "host", Network: "tcp", Nonce: nonce(n), Peer: "192.0.2.1:999", Local: "127.0.0.1:4711", Time: testTime}}
}

// tried is an attempt of a round that ended with an errno at connect.
func tried(round int, o Observation, errno string) Attempt {
	return Attempt{Target: "host", Network: agent.TCP4, Address: loopback, Nonce: nonce(round), Round: round,
		Stage: agent.StageConnect, Errno: errno, ElapsedUS: 300, Claimed: o, Observation: o}
}

func slow(a Attempt) Attempt { a.Slow = true; return a }

// denials are two attempts that ended as the backend's wall ends them.
func denials(backend string) []Attempt {
	switch backend {
	case TSI:
		return []Attempt{tried(1, Denied, "EACCES"), tried(2, Denied, "EACCES")}
	}
	return []Attempt{tried(1, Refused, "ECONNREFUSED"), tried(2, Refused, "ECONNREFUSED")}
}

// sound is the question about a denial behind which everything stands.
func sound(backend string) *question {
	return &question{
		probe:   Probe{ID: "net.tcp.test", Severity: Critical, Expect: Contain},
		backend: backend, self: held("self"), path: held("path"), glance: held("glance"),
		trials: []trial{{
			target: "host", wall: policyWall, class: streams, before: held("alive"), after: held("alive"), log: held("log"), attempts: denials(backend),
		}},
	}
}

// reaching is the question about an allowance that works.
func reaching() *question {
	q := sound(TSI)
	q.probe.Expect = Reach
	ok := tried(1, Reachable, "")
	ok.Stage, ok.Proved, ok.Sightings = agent.StageDone, true, seen(1)
	q.trials[0].attempts = []Attempt{ok}
	q.trials[0].log = outcome{}
	return q
}

func TestJudge(t *testing.T) {
	var text strings.Builder
	for _, kind := range []struct {
		expect Expect
		cases  []judgeCase
	}{{Contain, containCases}, {Reach, reachCases}} {
		for _, c := range kind.cases {
			t.Run(string(kind.expect)+"/"+c.name, func(t *testing.T) {
				q := *c.start
				q.trials = append([]trial(nil), q.trials...)
				for i := range q.trials {
					q.trials[i].attempts = append([]Attempt(nil), q.trials[i].attempts...)
				}
				if c.edit != nil {
					c.edit(&q, &q.trials[0])
				}
				f := judge(q)
				if f.Verdict != c.want {
					t.Errorf("verdict %q, want %q: %s", f.Verdict, c.want, f)
				}
				if c.names != "" && !strings.HasPrefix(f.Reason, c.names+":") {
					t.Errorf("the reason names %q first, want %s", f.Reason, c.names)
				}
				if f.Assurance != c.level {
					t.Errorf("assurance %q, want %q: %s", f.Assurance, c.level, f)
				}
				fmt.Fprintf(&text, "%s: %s\n  %s %s: %s\n", kind.expect, c.name, f.Verdict, f.Assurance, f.Reason)
				for _, w := range f.Warnings {
					fmt.Fprintf(&text, "  warning: %s\n", w)
				}
			})
		}
	}
	if !t.Failed() {
		golden.File(t, "reasons.txt", []byte(text.String()))
	}
}

// A contained verdict has to survive nothing being taken away from it: whichever single support goes, it falls.
func TestContainedNeedsEverySupport(t *testing.T) {
	for _, backend := range []string{TSI, VirtioNet, ""} {
		for name, take := range map[string]func(*question, *trial){
			"self":    func(q *question, _ *trial) { q.self = outcome{} },
			"path":    func(q *question, _ *trial) { q.path = outcome{} },
			"before":  func(_ *question, t *trial) { t.before = outcome{} },
			"after":   func(_ *question, t *trial) { t.after = outcome{} },
			"log":     func(_ *question, t *trial) { t.log = failed("") },
			"round 1": func(_ *question, t *trial) { t.attempts[0].Fault = "missing" },
			"round 2": func(_ *question, t *trial) { t.attempts[1].Fault = "missing" },
			"answer":  func(q *question, _ *trial) { q.fault = "garbage" },
		} {
			q := sound(backend)
			if f := judge(*q); f.Verdict != Contained {
				t.Fatalf("%q: the sound question is %s", backend, f)
			}
			take(q, &q.trials[0])
			if f := judge(*q); f.Verdict == Contained || f.Verdict == NotApplicable {
				t.Errorf("%q without %s is still green: %s", backend, name, f)
			}
		}
	}
}

// No observation of a guest that reached something is accepted anywhere, and no accepted one is worth anything without the
// silence of a canary. What a kernel does not know is accepted of a way round only, and what is at hand of a look only, whose
// answer is read.
func TestAcceptedTable(t *testing.T) {
	for backend, row := range accepted {
		for w, classes := range row {
			for c, all := range classes {
				checkReadings(t, backend, w, c, all)
			}
		}
	}
}

func checkReadings(t *testing.T, backend string, w wall, c class, all readings) {
	t.Helper()
	for _, o := range []Observation{Reachable, OneWay, Intercepted, Unresolved, ProbeError, Writable} {
		r, ok := all[o]
		if ok && w != kernelWall && !r.refusal && !r.alert && !r.moved && (o != Unresolved || !r.trick) {
			t.Errorf("%q behind the %s wall accepts %q of %s", backend, w, o, c)
		}
	}
	if r, ok := all[Unsupported]; ok && !r.trick && w != kernelWall {
		t.Errorf("%q behind the %s wall accepts a socket that does not exist, of %s", backend, w, c)
	}
	if _, ok := all[HandshakeOnly]; ok && backend != VirtioNet && w != haltedWall {
		t.Errorf("%q behind the %s wall accepts a handshake of %s", backend, w, c)
	}
	if _, ok := all[Writable]; ok {
		t.Errorf("%q behind the %s wall accepts a write", backend, w)
	}
}
