package probes

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"bottle.internal/internal/porttest"
	"bottle.internal/probes/agent"
)

// onHost is a peer in a process of this host's: what it listens on is at the host's loopback, as a published port is. It reaches what it
// may, and this sandbox's allowed destination only if open.
func onHost(t *testing.T, s Site, open bool) RunFunc {
	t.Helper()
	inner := mangle(agentOnHost(t, nil), func(r *agent.Response) {
		for i := range r.Results {
			if res := &r.Results[i]; res.Errno == "ECONNREFUSED" {
				res.Errno, res.Observation = "EACCES", agent.Denied
			}
		}
	})
	if open {
		return inner
	}
	return func(ctx context.Context, b []byte) ([]byte, error) {
		req, err := agent.DecodeRequest(b)
		if err != nil {
			return nil, err
		}
		for i := range req.Attempts {
			if req.Attempts[i].Addr == s.Allowed.Addr {
				req.Attempts[i].Addr = netip.MustParseAddrPort("127.0.0.1:1")
			}
		}
		if b, err = json.Marshal(req); err != nil {
			return nil, err
		}
		return inner(ctx, b)
	}
}

// beside is a sound sandbox that others can be put beside. It hears itself where it listens, and wall is what becomes of the rest.
func beside(t *testing.T, wall guest) Site {
	t.Helper()
	s := site(t, TSI)
	s.Run = func(ctx context.Context, b []byte) ([]byte, error) {
		req, err := agent.DecodeRequest(b)
		if err != nil {
			return nil, err
		}
		home := netip.AddrPort{}
		page := new(strings.Builder)
		for _, a := range req.Attempts {
			if a.Network == agent.Serve {
				home = a.Addr
				fmt.Fprintf(page, "%s 127.0.0.1:1 self\n", a.Nonce)
			}
		}
		for _, a := range req.Attempts {
			if a.Network != agent.Serve && a.Addr == home {
				fmt.Fprintf(page, "%s 127.0.0.1:1\n", a.Nonce)
			}
		}
		return walled(s, func(a agent.Attempt) agent.Result {
			switch {
			case a.Network == agent.Serve:
				return agent.Result{Stage: agent.StageDone, Reply: []byte(page.String()), ElapsedUS: 100}
			case a.Addr == home && wall == nil:
				return agent.Result{Stage: agent.StageDone, ElapsedUS: 100}
			case wall != nil:
				return wall(a)
			}
			return deny(a)
		}).run(nil)(ctx, b)
	}
	return s
}

func invited(t *testing.T, s *Site, open bool) {
	t.Helper()
	run := onHost(t, *s, open)
	s.Peer = func(_ context.Context, spec PeerSpec) (*Peer, error) {
		return &Peer{
			Name: "the peer", Run: run, Published: netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), spec.Publish),
			Close: func(context.Context) error { return nil },
		}, nil
	}
}

func TestBeside(t *testing.T) {
	for _, c := range []struct {
		name                  string
		wall                  guest
		open                  bool
		peer, cross, together Verdict
	}{
		{"each by itself", nil, false, Contained, Contained, Contained},
		{"the guest reaches all that is there, its own loopback is the host's", open, false, Leak, Leak, Leak},
		{"the peer reaches what the guest may", nil, true, Contained, Contained, Leak},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := beside(t, c.wall)
			invited(t, &s, c.open)
			rep, err := Run(t.Context(), s, quick, peerVM, crossPort, concurrent)
			if err != nil {
				t.Fatal(err)
			}
			for id, want := range map[string]Verdict{peerVM: c.peer, crossPort: c.cross, concurrent: c.together} {
				f := finding(t, rep, id)
				if f.Verdict != want && f.Verdict != NotApplicable {
					t.Errorf("want %s: %s", want, f)
				}
				if f.Verdict == NotApplicable && len(hostAddrs()) > 0 {
					t.Errorf("%s", f)
				}
			}
		})
	}
}

// A peer that is not there, and one whose listener nobody can see, show nothing.
func TestNobodyBeside(t *testing.T) {
	for name, c := range map[string]struct {
		peer *Peer
		err  error
		want Verdict
	}{
		"cannot be made":       {nil, errors.New("no room"), Error},
		"cannot be seen":       {&Peer{Unpublished: "no port"}, nil, NotApplicable},
		"does not take orders": {&Peer{Run: func(context.Context, []byte) ([]byte, error) { return nil, errors.New("dead") }, Close: func(context.Context) error { return nil }, Published: closedPortOfHost(t)}, nil, Error},
	} {
		t.Run(name, func(t *testing.T) {
			s := beside(t, nil)
			s.Peer = func(context.Context, PeerSpec) (*Peer, error) { return c.peer, c.err }
			rep, err := Run(t.Context(), s, quick, peerVM)
			if err != nil {
				t.Fatal(err)
			}
			if f := finding(t, rep, peerVM); f.Verdict != c.want {
				t.Errorf("want %s: %s", c.want, f)
			}
		})
	}
}

func closedPortOfHost(t *testing.T) netip.AddrPort {
	t.Helper()
	return porttest.Closed(t, netip.AddrFrom4([4]byte{127, 0, 0, 1}))
}
