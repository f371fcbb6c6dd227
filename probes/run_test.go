package probes

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"bottle.internal/internal/echo"
	"bottle.internal/probes/agent"
)

const (
	allowedID  = "net.tcp.allowed.v4"
	loopbackID = "net.tcp.loopback.v4"
	testnetID  = "net.tcp.testnet.v4"
	adminID    = "proxy.admin-surface"
)

func TestRunContained(t *testing.T) {
	for _, backend := range []string{TSI, VirtioNet} {
		s := site(t, backend)
		rep, err := Run(t.Context(), s, quick, allowedID, loopbackID, testnetID, adminID)
		if err != nil {
			t.Fatal(err)
		}
		want := map[string]Verdict{allowedID: Contained, loopbackID: Contained, testnetID: Contained, adminID: Contained}
		if diff := cmp.Diff(want, verdicts(rep)); diff != "" {
			t.Errorf("%s (-want +got):\n%s\n%s", backend, diff, rep)
		}
		if rep.Worst() != Contained || rep.ExitCode() != 0 || rep.Guest == nil || rep.Backend != backend {
			t.Errorf("%s: %s", backend, rep)
		}
		addresses := make(map[netip.Addr]int)
		for _, a := range finding(t, rep, loopbackID).Attempts {
			addresses[a.Address.Addr()]++
		}
		wantAddresses := map[netip.Addr]int{loopback.Addr(): 2}
		if backend == VirtioNet {
			wantAddresses[gateway.Addr()] = 2
		}
		if diff := cmp.Diff(wantAddresses, addresses, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
			t.Errorf("%s: attempts by address (-want +got):\n%s", backend, diff)
		}
	}
}

func TestRunLeak(t *testing.T) {
	s := site(t, TSI)
	s.Run = guest(open).run(nil)
	rep, err := Run(t.Context(), s, quick, allowedID, loopbackID, adminID)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]Verdict{allowedID: Contained, loopbackID: Leak, adminID: Leak}
	if diff := cmp.Diff(want, verdicts(rep)); diff != "" {
		t.Errorf("(-want +got):\n%s\n%s", diff, rep)
	}
	if rep.ExitCode() != 1 {
		t.Errorf("exit %d", rep.ExitCode())
	}
}

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
			r.Results = append(r.Results[:3:3], r.Results[4:]...)
		})
	}, Error, ""},
	{"agent that answers twice", func(_ *testing.T, s *Site, _ *Options) {
		s.Run = walled(*s, deny).run(func(r *agent.Response) { r.Results = append(r.Results, r.Results[3]) })
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

func TestRunOverblocked(t *testing.T) {
	s := site(t, TSI)
	s.Run = guest(deny).run(nil)
	rep, err := Run(t.Context(), s, quick, allowedID, loopbackID)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]Verdict{allowedID: Overblocked, loopbackID: Inconclusive}, verdicts(rep)); diff != "" {
		t.Errorf("(-want +got):\n%s\n%s", diff, rep)
	}
	if n := len(finding(t, rep, allowedID).Attempts); n != 2*reachTries {
		t.Errorf("%d tries, want %d", n, 2*reachTries)
	}
}

// A leak to an address that nobody has is seen where the world stands in for it.
func TestRunWorld(t *testing.T) {
	s := site(t, TSI)
	s.Run = walled(s, func(a agent.Attempt) agent.Result { return throughWorld(s, a) }).run(nil)
	rep, err := Run(t.Context(), s, quick, testnetID)
	if err != nil {
		t.Fatal(err)
	}
	if f := finding(t, rep, testnetID); f.Verdict != Leak || f.Attempts[0].Sightings[0].Local != testNet.String() {
		t.Errorf("%s", f)
	}
}

func TestRunTestNetWithoutWorld(t *testing.T) {
	for _, c := range []struct {
		backend   string
		simulated bool
		wall      guest
		want      Verdict
	}{
		{TSI, false, deny, Contained},
		{TSI, true, deny, Contained},
		{TSI, false, refuse, Inconclusive},
		{VirtioNet, false, refuse, Contained},
		{VirtioNet, true, refuse, Inconclusive},
		{VirtioNet, false, func(agent.Attempt) agent.Result { return agent.Result{Stage: agent.StageRead} }, Inconclusive},
		{"", false, refuse, NotApplicable},
	} {
		s := site(t, c.backend)
		s.World, s.Simulated, s.Run = nil, c.simulated, walled(s, c.wall).run(nil)
		rep, err := Run(t.Context(), s, quick, testnetID)
		if (c.want == NotApplicable) != errors.Is(err, ErrNothingRan) {
			t.Error(err)
		}
		if f := finding(t, rep, testnetID); f.Verdict != c.want {
			t.Errorf("%q, simulated %t: want %s, got %s", c.backend, c.simulated, c.want, f)
		}
	}
}

// A port that cannot be had is judged by what only the policy gives, where the backend gives such a thing.
func TestRunLoopbackPortTaken(t *testing.T) {
	taken := newCanary(t, "somebody", anyLoopback)
	for backend, want := range map[string]Verdict{TSI: Contained, VirtioNet: Inconclusive} {
		o := quick
		o.LoopbackPorts = []uint16{taken.Addr().Port()}
		rep, err := Run(t.Context(), site(t, backend), o, loopbackID)
		if err != nil {
			t.Fatal(err)
		}
		f := finding(t, rep, loopbackID)
		if f.Verdict != want || f.Assurance != L0 {
			t.Errorf("%s: want %s at L0, got %s", backend, want, f)
		}
	}
}

func TestRunLoopbackPort(t *testing.T) {
	free := newCanary(t, "for its port", anyLoopback)
	port := free.Addr().Port()
	_ = free.Close()
	o := quick
	o.LoopbackPorts, o.Attempts = []uint16{port}, 3
	rep, err := Run(t.Context(), site(t, TSI), o, loopbackID)
	if err != nil {
		t.Fatal(err)
	}
	f := finding(t, rep, loopbackID)
	if f.Verdict != Contained || f.Assurance != L2 || len(f.Attempts) != 6 || f.Attempts[3].Address.Port() != port {
		t.Errorf("%s", f)
	}
}

// A listener's silence counts only if its log is known to work.
func TestRunClosedLog(t *testing.T) {
	for _, c := range []struct {
		name  string
		edit  func(*Target)
		want  Verdict
		names string
	}{
		{"as it is", func(*Target) {}, Contained, ""},
		{"no log", func(g *Target) { g.Sightings = nil }, Inconclusive, "C4"},
		{"a log that stays empty", func(g *Target) {
			g.Sightings = func(context.Context) ([]echo.Sighting, error) { return nil, nil }
		}, Inconclusive, "C4"},
		{"a log that cannot be read", func(g *Target) {
			g.Sightings = func(context.Context) ([]echo.Sighting, error) { return nil, errors.New("gone") }
		}, Inconclusive, "C4"},
		{"a log that lags", func(g *Target) {
			inner, reads := g.Sightings, 0
			g.Sightings = func(ctx context.Context) ([]echo.Sighting, error) {
				if reads++; reads < 5 {
					return nil, nil
				}
				return inner(ctx)
			}
		}, Contained, ""},
		{"not alive", func(g *Target) { g.Alive = func(context.Context) error { return errors.New("dead") } }, Inconclusive, "C1"},
		{"nobody can tell whether it is alive", func(g *Target) { g.Alive = nil }, Inconclusive, "C1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := site(t, TSI)
			c.edit(&s.Closed[0])
			rep, err := Run(t.Context(), s, quick, adminID)
			if err != nil {
				t.Fatal(err)
			}
			f := finding(t, rep, adminID)
			if f.Verdict != c.want || (c.names != "" && !strings.HasPrefix(f.Reason, c.names+":")) {
				t.Errorf("want %s %s, got %s", c.want, c.names, f)
			}
		})
	}
}

func TestRunAbsences(t *testing.T) {
	s := site(t, VirtioNet)
	s.Closed, s.HostLoopback = nil, nil
	rep, err := Run(t.Context(), s, quick)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]Verdict{allowedID: Contained, loopbackID: NotApplicable, "net.tcp.loopback.v6": NotApplicable, testnetID: Contained, adminID: NotApplicable}
	if diff := cmp.Diff(want, verdicts(rep)); diff != "" {
		t.Errorf("everything (-want +got):\n%s", diff)
	}
	rep, err = Run(t.Context(), s, quick, adminID)
	if !errors.Is(err, ErrNothingRan) {
		t.Errorf("nothing ran: %v", err)
	}
	if f := finding(t, rep, adminID); f.Verdict != Inconclusive {
		t.Errorf("asked for by name: %s", f)
	}
}

func TestRunRefuses(t *testing.T) {
	s := site(t, TSI)
	if _, err := Run(t.Context(), s, quick, "net.tcp.lopback.v4"); !errors.Is(err, ErrUnknownProbe) {
		t.Errorf("unknown id: %v", err)
	}
	zoned := s
	zoned.HostLoopback = []netip.Addr{netip.MustParseAddr("fe80::1%eth0")}
	if _, err := Run(t.Context(), zoned, quick, "net.tcp.loopback.v6"); !errors.Is(err, ErrSite) && !errors.Is(err, ErrNothingRan) {
		t.Errorf("an address that the agent cannot dial: %v", err)
	}
	s.Run = nil
	if _, err := Run(t.Context(), s, quick, loopbackID); !errors.Is(err, ErrSite) {
		t.Errorf("no Run: %v", err)
	}
}

func TestRunEndsWithItsContext(t *testing.T) {
	s := site(t, TSI)
	ctx, cancel := context.WithCancelCause(t.Context())
	because := errors.New("enough")
	s.Run = func(ctx context.Context, _ []byte) ([]byte, error) {
		cancel(because)
		<-ctx.Done()
		return nil, ctx.Err()
	}
	start := time.Now()
	rep, err := Run(ctx, s, quick, loopbackID)
	if !errors.Is(err, because) || rep.ExitCode() == 0 {
		t.Errorf("%v, %s", err, rep)
	}
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("took %s", took)
	}
}

// Nothing of a run is left behind: its canaries are down.
func TestRunClosesCanaries(t *testing.T) {
	var opened []net.Listener
	o := quick
	o.Listen = func(network, address string) (net.Listener, error) {
		l, err := net.Listen(network, address)
		opened = append(opened, l)
		return l, err
	}
	if _, err := Run(t.Context(), site(t, TSI), o, loopbackID, "net.tcp.loopback.v6"); err != nil {
		t.Fatal(err)
	}
	if len(opened) == 0 {
		t.Fatal("no canary was brought up")
	}
	for _, l := range opened {
		if l == nil {
			continue
		}
		if conn, err := net.DialTimeout("tcp", l.Addr().String(), time.Second); err == nil {
			_ = conn.Close()
			t.Errorf("%s still listens", l.Addr())
		}
	}
}
