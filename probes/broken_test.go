package probes

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"

	"bottle.internal/internal/echo"
	"bottle.internal/probes/agent"
)

// broken is a site broken in one way, and what the probe of the host's loopback must say of it.
type broken struct {
	name  string
	edit  func(t *testing.T, s *Site, o *Options)
	want  Verdict
	names string // the control that the reason names
}

func throughWorld(s Site, a agent.Attempt) agent.Result {
	_ = knock(context.Background(), "unix", s.World.Path(), append([]byte(tcpFlow), echo.Request(a.Nonce)...), echo.Secret{})
	return deny(a)
}

var brokenSites = []broken{
	{"agent that lies about a leak", func(_ *testing.T, s *Site, _ *Options) {
		s.Run = walled(*s, func(a agent.Attempt) agent.Result { open(a); return deny(a) }).run(nil)
	}, Leak, ""},
	{"leak in the second round only", func(_ *testing.T, s *Site, _ *Options) {
		var n atomic.Int64
		s.Run = walled(*s, func(a agent.Attempt) agent.Result {
			if n.Add(1) == 2 {
				return open(a)
			}
			return deny(a)
		}).run(nil)
	}, Leak, ""},
	{"slow leak, at the second look", func(_ *testing.T, s *Site, _ *Options) {
		s.Run = walled(*s, func(a agent.Attempt) agent.Result {
			if a.After != "" {
				return open(a)
			}
			return agent.Result{Stage: agent.StageConnect}
		}).run(nil)
	}, Leak, ""},
	{"agent that reaches the canary and crashes", func(_ *testing.T, s *Site, _ *Options) {
		inner := guest(open).run(nil)
		s.Run = func(ctx context.Context, b []byte) ([]byte, error) {
			_, _ = inner(ctx, b)
			return nil, errors.New("exit status 139\x1b[31m")
		}
	}, Leak, ""},
	{"agent that makes an attempt and says that it skipped it", func(_ *testing.T, s *Site, _ *Options) {
		inner := walled(*s, deny).run(nil)
		s.Run = func(ctx context.Context, b []byte) ([]byte, error) {
			req, err := agent.DecodeRequest(b)
			for _, a := range req.Attempts {
				if a.When == agent.WhenFiltered {
					open(a)
				}
			}
			if err != nil {
				return nil, err
			}
			return inner(ctx, b)
		}
	}, Leak, ""},
	{"agent that cannot be run", func(_ *testing.T, s *Site, _ *Options) {
		s.Run = func(context.Context, []byte) ([]byte, error) { return nil, errors.New("no such file") }
	}, Error, ""},
	{"agent that prints something else", func(_ *testing.T, s *Site, _ *Options) {
		s.Run = func(context.Context, []byte) ([]byte, error) { return []byte("connection refused\n"), nil }
	}, Error, ""},
	{"agent that answers another run", func(_ *testing.T, s *Site, _ *Options) {
		s.Run = walled(*s, deny).run(func(r *agent.Response) { r.Run = echo.NewNonce() })
	}, Error, ""},
	{"agent that leaves results out", func(_ *testing.T, s *Site, _ *Options) {
		s.Run = walled(*s, deny).run(func(r *agent.Response) {
			r.Results = append(r.Results[:reachTries+1:reachTries+1], r.Results[reachTries+2:]...) // after the allowed ones and the glance
		})
	}, Error, ""},
	{"agent that answers twice", func(_ *testing.T, s *Site, _ *Options) {
		s.Run = walled(*s, deny).run(func(r *agent.Response) { r.Results = append(r.Results, r.Results[reachTries+1]) })
	}, Error, ""},
	{"agent that claims reach with a proof seen elsewhere", func(_ *testing.T, s *Site, _ *Options) {
		var old []byte
		s.Run = walled(*s, func(a agent.Attempt) agent.Result {
			return agent.Result{Stage: agent.StageDone, Reply: old}
		}).run(nil)
		inner := walled(*s, deny)
		s.Run = guest(func(a agent.Attempt) agent.Result {
			r := inner(a)
			if len(r.Reply) > 0 {
				old = r.Reply // of the allowed listener, for another nonce
				return r
			}
			return agent.Result{Stage: agent.StageDone, Reply: old}
		}).run(nil)
	}, Inconclusive, ""},
	{"agent that forges a proof", func(_ *testing.T, s *Site, _ *Options) {
		s.Run = walled(*s, func(a agent.Attempt) agent.Result {
			return agent.Result{Stage: agent.StageDone, Reply: echo.Response(echo.NewReply(echo.NewSecret(), "host 127.0.0.1", a.Nonce, "", ""))}
		}).run(nil)
	}, Inconclusive, ""},
	{"agent that takes the nonce to the allowed listener", func(_ *testing.T, s *Site, _ *Options) {
		s.Run = walled(*s, func(a agent.Attempt) agent.Result {
			a.Addr = s.Allowed.Addr
			open(a)
			return deny(a)
		}).run(nil)
	}, Inconclusive, ""},
	{"guest that touches the canary without a nonce", func(t *testing.T, s *Site, _ *Options) {
		s.Run = walled(*s, func(a agent.Attempt) agent.Result {
			say(t, "tcp", a.Addr.String(), []byte("hello\n"))
			return deny(a)
		}).run(nil)
	}, Inconclusive, "C4"},
	{"guest that listens itself", func(_ *testing.T, s *Site, _ *Options) {
		var port uint16
		s.Run = walled(*s, func(a agent.Attempt) agent.Result { port = a.Addr.Port(); return deny(a) }).run(func(r *agent.Response) {
			r.Self.Listeners = []string{netip.AddrPortFrom(netip.IPv6Unspecified(), port).String()}
		})
	}, Inconclusive, "C1"},
	{"prober that cannot even reach itself", func(_ *testing.T, s *Site, _ *Options) {
		s.Run = walled(*s, deny).run(func(r *agent.Response) { r.Self = agent.Self{EchoError: "refused"} })
	}, Inconclusive, "C0"},
	{"guest without a network", func(_ *testing.T, s *Site, _ *Options) {
		s.Run = guest(func(agent.Attempt) agent.Result {
			return agent.Result{Stage: agent.StageConnect, Errno: "ENETUNREACH"}
		}).run(nil)
	}, Inconclusive, "C2"},
	{"path that is lost half-way", func(t *testing.T, s *Site, _ *Options) {
		c := newCanary(t, "allowed", anyLoopback)
		s.Allowed = c.Target()
		s.Run = walled(*s, func(a agent.Attempt) agent.Result { _ = c.Close(); return deny(a) }).run(nil)
	}, Inconclusive, "C2"},
	{"no allowed listener", func(_ *testing.T, s *Site, _ *Options) { s.Allowed = Target{} }, Inconclusive, "C2"},
	{"canary down", func(_ *testing.T, _ *Site, o *Options) {
		o.Listen = func(network, address string) (net.Listener, error) {
			l, err := net.Listen(network, address)
			if err == nil {
				err = l.Close()
			}
			return l, err
		}
	}, Inconclusive, "C1"},
	{"canary that dies in between", func(_ *testing.T, s *Site, o *Options) {
		var l net.Listener
		o.Listen = func(network, address string) (_ net.Listener, err error) {
			l, err = net.Listen(network, address)
			return l, err
		}
		s.Run = walled(*s, func(a agent.Attempt) agent.Result { _ = l.Close(); return deny(a) }).run(nil)
	}, Inconclusive, "C1"},
	{"policy that is not in force, and nothing there", func(_ *testing.T, s *Site, _ *Options) { s.Run = walled(*s, refuse).run(nil) }, Inconclusive, ""},
}

func TestRunBroken(t *testing.T) {
	for _, c := range brokenSites {
		t.Run(c.name, func(t *testing.T) {
			s, o := site(t, TSI), quick
			c.edit(t, &s, &o)
			rep, err := Run(t.Context(), s, o, loopbackID)
			if err != nil {
				t.Fatal(err)
			}
			f := finding(t, rep, loopbackID)
			if f.Verdict != c.want || (c.names != "" && !strings.HasPrefix(f.Reason, c.names+":")) {
				t.Errorf("want %s %s, got\n%s", c.want, c.names, f)
			}
			if rep.ExitCode() == 0 {
				t.Error("exit 0")
			}
			if strings.ContainsRune(rep.String(), '\x1b') {
				t.Error("the report carries the guest's escapes to the terminal")
			}
		})
	}
}
