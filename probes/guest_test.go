package probes

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"syscall"
	"testing"
	"time"

	"bottle.internal/internal/echo"
	"bottle.internal/probes/agent"
)

// A guest is a sandbox in a function: what becomes of each attempt. It keeps the order of phases and the conditions, as the
// agent does.
type guest func(agent.Attempt) agent.Result

// run is the guest as a RunFunc; edit, if not nil, changes the response before it leaves the guest.
func (g guest) run(edit func(*agent.Response)) RunFunc {
	return func(_ context.Context, b []byte) ([]byte, error) {
		req, err := agent.DecodeRequest(b)
		if err != nil {
			return nil, err
		}
		resp := agent.Response{Schema: agent.Schema, Run: req.Run, Self: agent.Self{Echo: true, EchoTries: 1, EchoUS: 100, Kernel: "6.0"}}
		results := make(map[string]agent.Result)
		for phase := 0; len(results) < len(req.Attempts); phase++ {
			for _, a := range req.Attempts {
				if a.Phase != phase {
					continue
				}
				r := agent.Result{Stage: agent.StageSkipped}
				switch {
				case a.Network == agent.Look && a.Path == glancePath: // the batch's own, which works in any guest
					r = agent.Result{Stage: agent.StageDone, Reply: []byte("Linux")}
				case a.After == "" || a.When.Met(results[a.After]):
					r = g(a)
				}
				r.ID, r.Nonce = a.ID, a.Nonce
				r.Observation = agent.Observe(a, r)
				results[a.ID] = r
			}
		}
		for _, a := range req.Attempts {
			resp.Results = append(resp.Results, results[a.ID])
		}
		if edit != nil {
			edit(&resp)
		}
		return json.Marshal(resp)
	}
}

// open dials everything: a sandbox without walls.
func open(a agent.Attempt) agent.Result {
	if a.Network == agent.UDP4 || a.Network == agent.UDP6 {
		return openUDP(a)
	}
	conn, err := net.DialTimeout("tcp", a.Addr.String(), a.Budget())
	if err != nil {
		var errno syscall.Errno
		if errors.As(err, &errno) && errno == syscall.ECONNREFUSED {
			return refuse(a)
		}
		return agent.Result{Stage: agent.StageConnect, Errno: "ENETUNREACH"}
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(a.Budget()))
	_, _ = conn.Write(echo.Request(a.Nonce))
	reply, _ := io.ReadAll(io.LimitReader(conn, echo.MaxReply))
	return agent.Result{Stage: agent.StageDone, Reply: reply, ElapsedUS: 200}
}

func openUDP(a agent.Attempt) agent.Result {
	conn, err := net.DialTimeout("udp", a.Addr.String(), a.Budget())
	if err != nil {
		return agent.Result{Stage: agent.StageConnect, Errno: "ENETUNREACH"}
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(a.Budget()))
	_, _ = conn.Write(a.Messages()[0])
	reply := make([]byte, echo.MaxReply)
	n, _ := conn.Read(reply)
	return agent.Result{Stage: agent.StageDone, Reply: reply[:n], ElapsedUS: 200}
}

func deny(agent.Attempt) agent.Result {
	return agent.Result{Stage: agent.StageConnect, Errno: "EACCES", ElapsedUS: 50}
}

func refuse(agent.Attempt) agent.Result {
	return agent.Result{Stage: agent.StageConnect, Errno: "ECONNREFUSED", ElapsedUS: 50}
}

// walled is open towards the allowed listener and wall everywhere else.
func walled(s Site, wall guest) guest {
	return func(a agent.Attempt) agent.Result {
		if a.Addr == s.Allowed.Addr {
			return open(a)
		}
		return wall(a)
	}
}

// site is a sandbox of the given backend with an allowed listener, a listener that must stay closed, and a world, behind a
// wall that holds.
func site(t *testing.T, backend string) Site {
	t.Helper()
	s := Site{Engine: "test", Version: "1", Backend: backend, Asked: []string{"allow 192.0.2.7/32"}, World: newWorld(t)}
	s.Allowed = newCanary(t, "allowed", anyLoopback).Target()
	closed := newCanary(t, "egress", anyLoopback).Target()
	s.Closed = []Target{closed}
	if backend == VirtioNet {
		s.HostLoopback = append(s.hostLoopback(), gateway.Addr())
	}
	denial := guest(deny)
	if backend == VirtioNet {
		denial = refuse
	}
	s.Run = walled(s, func(a agent.Attempt) agent.Result {
		if a.Addr == closed.Addr {
			return refuse(a)
		}
		return denial(a)
	}).run(nil)
	return s
}

// quick are options for tests: nothing here is slow.
var quick = Options{Budget: 500 * time.Millisecond, Grace: time.Millisecond}

func verdicts(r Report) map[string]Verdict {
	all := make(map[string]Verdict)
	for _, f := range r.Findings {
		all[f.ID] = f.Verdict
	}
	return all
}

func finding(t *testing.T, r Report, id string) Finding {
	t.Helper()
	f, err := r.Finding(id)
	if err != nil {
		t.Fatal(err)
	}
	return f
}
