package probes

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"bottle.internal/internal/echo"
	"bottle.internal/probes/agent"
)

func TestBracket(t *testing.T) {
	sound := bracket{before: held("proved"), after: held("proved"), between: []Attempt{tried(1, HandshakeOnly, ""), tried(2, Filtered, "")}}
	for name, c := range map[string]struct {
		edit func(*bracket)
		want State
	}{
		"as it should be":            {func(*bracket) {}, Held},
		"dead before":                {func(q *bracket) { q.before = failed("dead") }, Failed},
		"dead after":                 {func(q *bracket) { q.after = failed("dead") }, Failed},
		"not looked at after":        {func(q *bracket) { q.after = outcome{} }, Failed},
		"it does not go on":          {func(q *bracket) { q.lost = "gone" }, Failed},
		"nobody tried in between":    {func(q *bracket) { q.between = nil }, Failed},
		"it answered in between":     {func(q *bracket) { q.between[1].Proved = true }, Failed},
		"something else answered":    {func(q *bracket) { q.between[0] = tried(1, Intercepted, "") }, Failed},
		"it was reached in between":  {func(q *bracket) { q.between[0].Sightings = seen(1) }, Failed},
		"its end cannot be told yet": {func(q *bracket) { q.between = q.between[:1] }, Held},
	} {
		q := sound
		q.between = append([]Attempt(nil), q.between...)
		c.edit(&q)
		if o := q.path(); o.State != c.want || o.Text == "" {
			t.Errorf("%s: %+v, want %s", name, o, c.want)
		}
	}
}

// haltable is a site whose sidecar can be halted; wall is what becomes of what is not allowed meanwhile.
func haltable(t *testing.T, wall guest) (Site, *atomic.Bool) {
	t.Helper()
	s := site(t, TSI)
	halted := new(atomic.Bool)
	proxy := netip.MustParseAddrPort("192.0.2.7:8888")
	s.Proxy = &Proxy{
		Addr: proxy, Near: netip.MustParseAddr("127.0.0.1"),
		Dial: func(ctx context.Context, at netip.AddrPort, n echo.Nonce) (echo.Reply, error) {
			if halted.Load() {
				return echo.Reply{}, errors.New("halted")
			}
			return echo.Ask(ctx, at, n)
		},
		Halt: func(context.Context) (Halted, error) {
			halted.Store(true)
			return Halted{How: "the test says so", Resume: func(context.Context) error { halted.Store(false); return nil }}, nil
		},
	}
	s.Run = guest(func(a agent.Attempt) agent.Result {
		silent := agent.Result{Stage: agent.StageRead, ElapsedUS: 300}
		switch {
		case halted.Load() && (a.Addr == s.Allowed.Addr || a.Addr == proxy):
			return silent
		case halted.Load():
			return wall(a)
		case a.Addr == s.Allowed.Addr:
			return open(a)
		}
		return deny(a)
	}).run(nil)
	return s, halted
}

func TestFailClosed(t *testing.T) {
	for name, c := range map[string]struct {
		wall guest
		edit func(*Site)
		want Verdict
		says string
	}{
		"the walls stand":         {deny, func(*Site) {}, Contained, ""},
		"everything is open then": {open, func(*Site) {}, Leak, ""},
		"it cannot be halted": {deny, func(s *Site) {
			s.Proxy.Halt = func(context.Context) (Halted, error) { return Halted{}, errors.New("not permitted") }
		}, Error, "could not be halted"},
		"it is not halted": {deny, func(s *Site) {
			s.Proxy.Halt = func(context.Context) (Halted, error) {
				return Halted{How: "a lie", Resume: func(context.Context) error { return nil }}, nil
			}
		}, Inconclusive, "C2"},
		"it does not go on": {deny, func(s *Site) {
			halt := s.Proxy.Halt
			s.Proxy.Halt = func(ctx context.Context) (Halted, error) {
				h, err := halt(ctx)
				h.Resume = func(context.Context) error { return errors.New("gone") }
				return h, err
			}
		}, Inconclusive, "C2"},
	} {
		t.Run(name, func(t *testing.T) {
			s, _ := haltable(t, c.wall)
			c.edit(&s)
			rep, err := Run(t.Context(), s, quick, failClosed)
			if err != nil {
				t.Fatal(err)
			}
			if f := finding(t, rep, failClosed); f.Verdict != c.want || !strings.Contains(f.Reason, c.says) {
				t.Errorf("want %s naming %q: %s", c.want, c.says, f)
			}
		})
	}
}

// Whoever interrupts a run finds the sidecar as it was.
func TestHaltIsUndone(t *testing.T) {
	s, halted := haltable(t, deny)
	ctx, cancel := context.WithCancel(t.Context())
	inner := s.Run
	s.Run = func(ctx context.Context, b []byte) ([]byte, error) {
		if halted.Load() {
			cancel()
		}
		return inner(ctx, b)
	}
	if _, err := Run(ctx, s, quick, failClosed); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	if halted.Load() {
		t.Error("the sidecar is still halted")
	}
}

// What a scene could not dial beside the rest is a warning of its finding; a canary that should have been there and was not is more.
func TestScenesSayWhatTheyDidNotTry(t *testing.T) {
	for name, c := range map[string]struct {
		id, warns string
		edit      func(*Site)
		want      Verdict
	}{
		"no world, at a restart":    {"net.tcp.boot-window", "nothing stands in for the internet", func(s *Site) { s.World = nil }, Contained},
		"no world, while halted":    {failClosed, "nothing stands in for the internet", func(s *Site) { s.World = nil }, Contained},
		"nothing near the proxy":    {failClosed, "no address of this host is known to be in the proxy's reach", func(s *Site) { s.Proxy.Near = netip.Addr{} }, Contained},
		"no canary near the proxy":  {failClosed, "", func(s *Site) { s.Proxy.Near = netip.MustParseAddr("203.0.113.9") }, Inconclusive},
		"no world, beside":          {emptyAllowlist, "nothing stands in for the internet", func(s *Site) { s.World = nil }, Contained},
		"all of it, while halted":   {failClosed, "", func(*Site) {}, Contained},
		"all of it, at the restart": {"net.tcp.boot-window", "", func(*Site) {}, Contained},
	} {
		t.Run(name, func(t *testing.T) {
			s, _ := haltable(t, deny)
			s.Restart = func(context.Context) error { return nil }
			s.Peer = func(context.Context, PeerSpec) (*Peer, error) {
				return &Peer{Name: "the peer", Run: guest(deny).run(nil), Close: func(context.Context) error { return nil }}, nil
			}
			c.edit(&s)
			rep, err := Run(t.Context(), s, quick, c.id)
			if err != nil {
				t.Fatal(err)
			}
			f := finding(t, rep, c.id)
			said := slices.ContainsFunc(f.Warnings, func(w string) bool { return c.warns != "" && strings.Contains(w, c.warns) })
			if f.Verdict != c.want || said != (c.warns != "") || len(f.Warnings) > 0 && !said {
				t.Errorf("want %s, warning %q: %s %q", c.want, c.warns, f, f.Warnings)
			}
		})
	}
}
