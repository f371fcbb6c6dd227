package probes

import (
	"context"
	"net/netip"
	"time"

	"bottle.internal/internal/echo"
)

const (
	actHalt    = "halt"
	failClosed = "proxy.fail-closed"
	// haltedBudget is how long an answer of a sidecar that is halted is waited for, which does not come.
	haltedBudget = 200 * time.Millisecond
)

// A Halted is a sidecar that was stopped for a while.
type Halted struct {
	// How says who has it that the sidecar does nothing now: the container engine's word that it is paused.
	How string
	// Resume has it go on, and returns when it is as ready as it was before; also where ctx ends meanwhile.
	Resume func(ctx context.Context) error
}

// haltProbes are asked while the sidecar is halted.
var haltProbes = []Probe{
	{
		ID: failClosed, Family: "proxy", Severity: Critical, Expect: Contain, act: actHalt,
		lacks: func(s Site) string {
			switch {
			case s.Proxy == nil:
				return "the site has no proxy"
			case s.Proxy.Halt == nil:
				return s.withheld("the site has no way to halt its sidecar")
			case !s.Allowed.Addr.IsValid():
				return "the site names no allowed destination, so that nothing shows that the sidecar is up again"
			}
			return ""
		},
		What: "Halt the sidecar; then dial the host's loopback, an address of the host's and one of the internet, and ask the proxy for a canary.",
		Why:  "What stops a guest must not be what can be stopped: a sandbox whose wall falls with its sidecar has none as soon as that is out of memory.",
		Control: "The allowed destination proves a nonce before the sidecar is halted and after it goes on, and answers nothing in between; the canaries are dialled by the host before and after, " +
			"the one behind the proxy from the proxy's own position while that was up; none sees a nonce of the probe.",
		Remedy: "Have the policy enforced where the sidecar is not needed for it.",
		Source: "srt and codex (managed proxies that fail closed)", Where: "Where the sidecar has a proxy and may be halted: not one that somebody else launched.",
	},
	{
		ID: "proxy.fail-stale", Family: "proxy", Severity: High, Expect: Contain,
		What:    "Take a host off the proxy's list while it runs, and ask for that host.",
		Why:     "A grant that outlives its withdrawal is none that was withdrawn.",
		Control: "The host is reached while it is on the list.",
		Remedy:  "Start the proxy again with the shorter list.",
		Source:  "glovebox#2312", Where: "Where the proxy's list can be changed while it runs. The default bundle reads its list once, when it starts: not applicable.",
		aims: func(r *rig) ([]aim, absence) {
			if r.site.Proxy == nil {
				return nil, absence{why: "the site has no proxy"}
			}
			return nil, absence{why: "the site knows no way to change the proxy's list while it runs: it is read when the sidecar starts, so that no grant outlives it"}
		},
	},
}

// playHalt halts the sidecar between two looks at the allowed destination.
func playHalt(ctx context.Context, s *stage, wanted []Probe) []Finding {
	q := bracket{before: s.path(ctx)}
	site := s.site
	site.Allowed = Target{}
	r := newRig(site, s.opts)
	defer func() { _ = r.close() }()
	items := r.haltedItems(ctx, s.site, wanted[0])
	b, err := r.batch(items)
	if err != nil {
		return failing(wanted, err.Error())
	}
	h, err := s.site.Proxy.Halt(ctx)
	if err != nil {
		return failing(wanted, "the sidecar could not be halted: "+plainText(err.Error()))
	}
	b.run(ctx)
	if err := h.Resume(context.WithoutCancel(ctx)); err != nil {
		q.lost = "the sidecar does not go on: " + plainText(err.Error())
	}
	q.between, q.after = b.join(b.plan.trials[0].shots, &post{Target: s.site.Allowed}, aim{}, nil), s.path(ctx)
	b.halted, b.isolation = h.How, q.path()
	return b.findings(items[1:])
}

// path is control C2 by itself.
func (s *stage) path(ctx context.Context) outcome {
	r := newRig(s.site, s.opts)
	defer func() { _ = r.close() }()
	b, err := r.batch(nil)
	if err != nil {
		return notChecked("%v", err)
	}
	b.ask(ctx)
	return b.pathControl(b.pathAttempts())
}

// A bracket is what is known of the allowed destination around a halt of the sidecar.
type bracket struct {
	before, after outcome
	between       []Attempt
	lost          string // why the sidecar is not up again
}

// path is control C2 of what was tried in between. It is a pure function.
func (q bracket) path() outcome {
	switch {
	case q.lost != "":
		return failed("%s", q.lost)
	case q.before.State != Held:
		return failed("before the sidecar was halted: %s", q.before.Text)
	case len(q.between) == 0:
		return failed("the allowed destination was not tried while the sidecar was halted")
	case q.after.State != Held:
		return failed("after the sidecar went on: %s", q.after.Text)
	}
	for _, a := range q.between {
		if a.Proved || a.Observation == Reachable || a.Observation == Intercepted || len(a.Sightings) > 0 {
			return failed("the allowed destination answered while the sidecar was halted: %s", a)
		}
	}
	return held("before the sidecar was halted, and after it went on, %s; in between it answered nothing: %s", q.before.Text, last(q.between))
}

// haltedItems are the allowed destination, whose silence is a control, and what must not be reached instead.
func (r *rig) haltedItems(ctx context.Context, site Site, p Probe) []item {
	dead := aim{addr: site.Allowed.Addr, wall: haltedWall, absent: "it is halted", budget: haltedBudget, early: true}
	aims, none := gathered(append(r.anywhere(), func() ([]aim, absence) { return r.behindHalted(ctx, *site.Proxy) })...)
	return []item{{probe: Probe{ID: "halted"}, aims: []aim{dead}}, {probe: p, aims: aims, absence: none}}
}

// behindHalted asks the halted proxy for a canary that it could reach while it ran.
func (r *rig) behindHalted(ctx context.Context, p Proxy) ([]aim, absence) {
	if !p.Near.IsValid() {
		return nil, absence{why: "no address of this host is known to be in the proxy's reach"}
	}
	c, err := NewCanary("host "+p.Near.String()+", behind the proxy", netip.AddrPortFrom(p.Near, 0), r.opts.Listen)
	if err != nil {
		return []aim{{addr: p.Addr, also: netip.AddrPortFrom(p.Near, discardPort), wall: haltedWall, absent: err.Error(), budget: haltedBudget}}, absence{}
	}
	r.undo = append(r.undo, c.Close)
	at := &post{Target: c.Target(), reached: reachedBy(ctx, p, c)}
	var aims []aim
	for _, say := range []request{connectTo, fetchFrom("GET")} {
		aims = append(aims, aim{
			addr: p.Addr, also: at.Addr, wall: haltedWall, post: at, budget: haltedBudget,
			send: func(n echo.Nonce) [][]byte { return say(at.Addr, n) },
		})
	}
	return aims, absence{}
}

// reachedBy is control C3 of what is asked of a halted proxy: it reaches the canary while it runs.
func reachedBy(ctx context.Context, p Proxy, c *Canary) outcome {
	if p.Dial == nil {
		return notChecked("nothing can dial from the proxy's position")
	}
	if err := prove(ctx, p, c.Addr(), c.Secret()); err != nil {
		return failed("the proxy's own position does not reach %s while it runs: %v", c.Target().Name, err)
	}
	return held("while it ran, the proxy's own position reached %s", c.Target().Name)
}

// haltedBy is the witness of what a halted sidecar did not carry.
func (b *batch) haltedBy() outcome {
	if b.halted == "" {
		return notChecked("nobody says that the sidecar was halted")
	}
	return held("the sidecar could carry nothing: %s", b.halted)
}
