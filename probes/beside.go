package probes

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"bottle.internal/internal/echo"
	"bottle.internal/probes/agent"
)

const (
	// selfDials is how often a guest dials itself for net.inbound.cross-vm-port, every selfEvery: the guest after selfFirst, and the
	// peer, which has begun before, after peerFirst.
	selfDials = 8
	selfFirst = 120 * time.Millisecond
	peerFirst = 300 * time.Millisecond
	selfEvery = 20 * time.Millisecond
)

// nowhere is an address that nobody has, for a peer that is to reach nothing.
var nowhere = netip.MustParseAddr("192.0.2.1")

// playBeside puts another sandbox beside this one, and asks both at once.
func playBeside(ctx context.Context, s *stage, wanted []Probe) []Finding {
	here := newRig(s.site, s.opts)
	defer func() { _ = here.close() }()
	h, why, err := s.invite(ctx, here)
	switch {
	case err != nil:
		return failing(wanted, "another sandbox could not be put beside this one: "+plainText(err.Error()))
	case why != "":
		var all []Finding
		for _, p := range wanted {
			all = append(all, absent(p, absence{why: why}))
		}
		return all
	}
	defer func() { _ = h.close(ctx) }()
	found, err := s.askBoth(ctx, here, h, wanted)
	if err != nil {
		return failing(wanted, plainText(err.Error()))
	}
	return found
}

// invite brings the peer up. why says that this engine cannot show its listener.
func (s *stage) invite(ctx context.Context, here *rig) (h *guestHost, why string, err error) {
	port, err := shared.freePort()
	if err != nil {
		return nil, "", err
	}
	spec := PeerSpec{Allow: nowhere, Publish: port}
	theirs, none := here.firstHost(nil)
	if none.why == "" && theirs[0].absent == "" {
		spec.Allow = theirs[0].addr.Addr()
	}
	p, err := s.site.Peer(ctx, spec)
	switch {
	case err != nil:
		return nil, "", err
	case p.Unpublished != "":
		return nil, p.Unpublished, nil
	}
	site := Site{
		Engine: s.site.Engine, Version: s.site.Version, Backend: s.site.Backend, Topology: s.site.Topology, Simulated: s.site.Simulated,
		Run: p.Run, Denials: p.Denials,
	}
	h = &guestHost{peer: p, last: echo.NewNonce(), none: none.why}
	if none.why == "" && theirs[0].post != nil {
		h.allowed, site.Allowed = &theirs[0], theirs[0].post.Target
	}
	h.rig = newRig(site, s.opts)
	return h, "", nil
}

// askBoth has the peer listen and try what is the guest's, while the guest tries what is the peer's.
func (s *stage) askBoth(ctx context.Context, here *rig, h *guestHost, wanted []Probe) ([]Finding, error) {
	own, err := shared.freePort()
	if err != nil {
		return nil, err
	}
	addresses, err := h.addresses(ctx, here)
	if err != nil {
		return nil, err
	}
	home := netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), own)
	var theirs, ours []item
	listener := &post{Target: h.target()}
	for _, p := range wanted {
		it := item{probe: p}
		switch p.ID {
		case peerVM:
			it.aims = here.peerAims(listener, addresses)
		case crossPort:
			it.aims = []aim{{network: agent.Serve, addr: home, wall: kernelWall, post: listener, home: home, homeAfter: selfFirst, across: h}}
		case concurrent:
			if h.allowed == nil {
				it.absence = absence{why: "this host has no second address that a peer could be allowed: " + h.none, unproven: true}
				break
			}
			it.aims = []aim{*h.allowed}
			theirs = append(theirs, item{probe: p, aims: []aim{{addr: s.site.Allowed.Addr, wall: policyWall, post: &post{Target: s.site.Allowed}}}})
		}
		ours = append(ours, it)
	}
	if err := h.plan(home, theirs); err != nil {
		return nil, err
	}
	b, err := here.batch(ours)
	if err != nil {
		return nil, err
	}
	h.run(ctx)
	if err := h.up(ctx); err != nil {
		h.end(ctx)
		return nil, fmt.Errorf("the peer's listener does not come up: %w", err)
	}
	b.after = h.end
	b.run(ctx)
	return h.together(b.findings(ours)), nil
}

// together puts what was found on both sides into one finding for each probe.
func (h *guestHost) together(ours []Finding) []Finding {
	for i, f := range ours {
		if j := slices.IndexFunc(h.findings, func(g Finding) bool { return g.ID == f.ID }); j >= 0 {
			ours[i] = merge(f, h.findings[j])
		}
	}
	return ours
}

// peerAims dial the peer's port in every spelling of the host's loopback, where it is published, and at the peer's own addresses.
func (r *rig) peerAims(listener *post, addresses []netip.Addr) []aim {
	spellings := slices.DeleteFunc(slices.Clone(r.site.hostLoopback()), netip.Addr.Is6)
	slices.SortStableFunc(spellings, func(a, b netip.Addr) int { return loopbackRank(a) - loopbackRank(b) })
	var aims []aim
	for _, a := range append(spellings, addresses...) {
		aims = append(aims, r.aimAt(netip.AddrPortFrom(a, 0), listener, nil))
	}
	return aims
}

// addresses are those that the peer has by its own word and this sandbox, by its own, has not.
func (h *guestHost) addresses(ctx context.Context, here *rig) ([]netip.Addr, error) {
	var known [2][]netip.Addr
	for i, r := range []*rig{h.rig, here} {
		b, err := r.batch(nil)
		if err != nil {
			return nil, err
		}
		b.ask(ctx)
		if b.fault != "" {
			return nil, fmt.Errorf("asking for its addresses: %s", b.fault)
		}
		for _, text := range b.answer.Self.Interfaces {
			_, prefix, _ := strings.Cut(text, " ")
			if p, err := netip.ParsePrefix(prefix); err == nil && p.Addr().Is4() && !p.Addr().IsLoopback() {
				known[i] = append(known[i], p.Addr())
			}
		}
	}
	return slices.DeleteFunc(known[0], func(a netip.Addr) bool { return slices.Contains(known[1], a) }), nil
}

// crossing fills in the trial of a guest that listened where the peer does: what it said to itself, and where it arrived.
func (b *batch) crossing(t *trialPlan, tr *trial) {
	h, listener := t.aim.across, t.aim.post
	page := guestbook("", b.answer.Results[t.shots[0].ID].Reply)
	home, away, strange := count(t.selves, page), count(t.selves, listener.sightings), count(h.serving.selves, page)
	tr.log = listener.log
	tr.before, tr.after = listener.before, listener.after
	if home < len(t.selves) && away == 0 {
		tr.before = failed("%d of the guest's %d dials of itself arrived at home", home, len(t.selves))
	}
	if len(tr.attempts) == 0 || away+strange == 0 {
		return
	}
	tr.attempts[0].Shown = fmt.Sprintf("%d of the guest's %d dials of itself arrived there, and %d of the peer's %d here", away, len(t.selves), strange, len(h.serving.selves))
}

// count is how many of the shots' nonces are among sightings.
func count(shots []shot, sightings []echo.Sighting) int {
	n := 0
	for _, s := range shots {
		if len(of(s.Nonce, sightings)) > 0 {
			n++
		}
	}
	return n
}
