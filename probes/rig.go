package probes

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"time"

	"bottle.internal/internal/echo"
	"bottle.internal/probes/boundary"
)

// logLimit is how long a listener's log may take to show the control's own dial.
const logLimit = time.Second

// A rig is what stands on the host's side for one run: canaries, and the listeners of the site.
type rig struct {
	site      Site
	opts      Options
	started   time.Time
	allowed   *post // nil if the site names none
	closed    []*post
	world     *post // nil if nothing stands in for the internet
	canaries  map[netip.AddrPort]*post
	failures  map[netip.AddrPort]error
	datagrams map[netip.AddrPort]*post

	nearProxy, ownProxy *post   // what is asked for through the sidecar's proxy
	origin              *origin // what its list has; nil until it is first asked for
	socket              hostSocket
	cases               map[spot]boundary.Case // what the boundary's probes dial, and why
	unplaced            map[string]int         // by probe: how many cases nothing of ours could stand behind
	undo                []func() error
}

// A post is a listener that is watched during a run.
type post struct {
	Target
	strangersSince func(netip.AddrPort, time.Time) []Stranger // nil where strangers are not logged

	before, after outcome
	reached       outcome // that another position reaches it, where a twin's is not the one that counts; the zero outcome is any other's
	log           outcome // whether its log is known to show what arrives
	base          int     // sightings that were not ours when the run began
	sightings     []echo.Sighting
}

// An outcome is a state with what led to it.
type outcome struct {
	State State
	Text  string
}

func held(format string, args ...any) outcome   { return outcome{Held, fmt.Sprintf(format, args...)} }
func failed(format string, args ...any) outcome { return outcome{Failed, fmt.Sprintf(format, args...)} }

// notChecked says why a control was not looked at.
func notChecked(format string, args ...any) outcome {
	return outcome{NotChecked, fmt.Sprintf(format, args...)}
}

func newRig(site Site, opts Options) *rig {
	r := &rig{site: site, opts: opts, started: time.Now(),
		canaries: make(map[netip.AddrPort]*post), datagrams: make(map[netip.AddrPort]*post), failures: make(map[netip.AddrPort]error), cases: make(map[spot]boundary.Case), unplaced: make(map[string]int)}
	if site.Allowed.Addr.IsValid() {
		r.allowed = &post{Target: site.Allowed}
	}
	for _, t := range site.Closed {
		r.closed = append(r.closed, &post{Target: t})
	}
	if site.World != nil {
		r.world = &post{Target: site.World.Target(netip.AddrPort{}), strangersSince: site.World.Strangers}
	}
	return r
}

// close takes the canaries down.
func (r *rig) close() error {
	var errs []error
	for _, undo := range r.undo {
		errs = append(errs, undo())
	}
	return errors.Join(errs...)
}

// canary is the canary at addr, brought up when it is first asked for.
func (r *rig) canary(addr netip.AddrPort) (*post, error) {
	if p, ok := r.canaries[addr]; ok {
		return p, nil
	}
	if err, ok := r.failures[addr]; ok {
		return nil, err
	}
	p, err := r.newCanary(addr)
	if err != nil {
		r.failures[addr] = err
		return nil, err
	}
	r.canaries[addr] = p
	return p, nil
}

// newCanary is one at addr that nobody else is given.
func (r *rig) newCanary(addr netip.AddrPort) (*post, error) {
	c, err := NewCanary("host "+addr.Addr().String(), addr, r.opts.Listen)
	if err != nil {
		return nil, err
	}
	r.undo = append(r.undo, c.Close)
	return &post{Target: c.Target(), strangersSince: func(_ netip.AddrPort, t time.Time) []Stranger { return c.Strangers(t) }}, nil
}

// udpCanary is the datagram canary at addr, brought up when it is first asked for.
func (r *rig) udpCanary(addr netip.AddrPort) (*post, error) {
	if p, ok := r.datagrams[addr]; ok {
		return p, nil
	}
	c, err := NewUDPCanary("host "+addr.Addr().String()+" udp", addr, nil)
	if err != nil {
		return nil, err
	}
	r.undo = append(r.undo, c.Close)
	p := &post{Target: c.Target(), strangersSince: func(_ netip.AddrPort, t time.Time) []Stranger { return c.Strangers(t) }}
	r.datagrams[addr] = p
	return p, nil
}

// discardPort is dialled where no canary could be brought up on any port.
const discardPort = 9

// aimAt aims at a canary of the host's in the spelling addr, whose port 0 stands for the canary's. err is why there is none.
func (r *rig) aimAt(addr netip.AddrPort, p *post, err error) aim {
	a := aim{addr: addr, wall: policyWall, post: p}
	if r.site.Backend == VirtioNet && addr.Addr().IsLoopback() {
		a.wall = ownWall
	}
	if err != nil {
		a.absent = err.Error()
		if addr.Port() == 0 {
			a.addr = netip.AddrPortFrom(addr.Addr(), discardPort)
		}
		return a
	}
	a.addr = netip.AddrPortFrom(addr.Addr(), p.Addr.Port())
	return a
}

// postsOf are the distinct posts behind aims, without the allowed one: whether that is alive is seen by its answers. The world is always among
// them: what is sent to the host, or to where a name leads, may end up there.
func (r *rig) postsOf(plan *plan) []*post {
	var all []*post
	seen := map[*post]bool{nil: true, r.allowed: true}
	for _, t := range plan.trials {
		if !seen[t.aim.post] {
			seen[t.aim.post] = true
			all = append(all, t.aim.post)
		}
	}
	if !seen[r.world] { // nil is seen
		all = append(all, r.world)
	}
	return all
}

// each calls f for every post at once and waits.
func each(posts []*post, f func(*post)) {
	var wg sync.WaitGroup
	for _, p := range posts {
		wg.Go(func() { f(p) })
	}
	wg.Wait()
}

// arm is control C1 before the batch.
func (p *post) arm(ctx context.Context) {
	if p.Sightings != nil {
		if all, err := p.Sightings(ctx); err == nil {
			p.base = len(all)
		}
	}
	p.before = p.check(ctx)
}

// check dials the listener from its own position.
func (p *post) check(ctx context.Context) outcome {
	if p.Alive == nil {
		return notChecked("nothing can dial %s from its own position", p.Name)
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	if err := p.Alive(ctx); err != nil {
		return failed("%s does not answer at its own position: %v", p.Name, err)
	}
	return held("%s answered at its own position", p.Name)
}

// collect reads the listener's log when the batch is over. A log that does not show the control's own dials cannot be relied
// on to show the guest's either, so it waits for those, for a while. ours are the nonces that the guest was given.
func (p *post) collect(ctx context.Context, ours map[echo.Nonce]bool) {
	if p.Sightings == nil {
		p.log = notChecked("%s keeps no log that can be read", p.Name)
		return
	}
	dials := 0
	for _, o := range []outcome{p.before, p.after} {
		if o.State == Held {
			dials++
		}
	}
	limit := time.Now().Add(logLimit)
	for pause := time.Millisecond; ; pause = min(2*pause, 100*time.Millisecond) {
		all, err := p.Sightings(ctx)
		p.sightings = all // what is known of is final, though there may be more
		if err != nil {
			p.log = failed("the log of %s cannot be read: %v", p.Name, err)
			return
		}
		if foreign(all, ours) >= p.base+dials {
			p.log = held("the log of %s shows the control's own dials", p.Name)
			return
		}
		if time.Now().After(limit) || ctx.Err() != nil {
			p.log = failed("the log of %s does not show the control's own dials, so its silence shows nothing", p.Name)
			return
		}
		time.Sleep(pause)
	}
}

// foreign counts the sightings of nonces that the guest was not given.
func foreign(all []echo.Sighting, ours map[echo.Nonce]bool) int {
	n := 0
	for _, s := range all {
		if !ours[s.Nonce] {
			n++
		}
	}
	return n
}
