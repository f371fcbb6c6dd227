package probes

import (
	"context"
	"net/netip"
	"slices"
	"strings"
	"time"

	"bottle.internal/probes/agent"
)

// witnessSlack is how far the clock of an enforcer's log may be off, and how coarse it may be.
const witnessSlack = 2 * time.Second

// readWitnesses reads the logs of those who enforce, once the attempts are over.
func (b *batch) readWitnesses(ctx context.Context) {
	since := b.rig.started.Add(-witnessSlack)
	b.denials = readWitness(ctx, "the enforcer's log", b.rig.site.Denials, since)
	b.refusals = readWitness(ctx, "the proxy's log", b.rig.site.Refusals, since)
	b.readBindings(ctx)
	b.lookForNetwork(ctx)
}

// lookForNetwork is control C2 of a sandbox that is to have no network.
func (b *batch) lookForNetwork(ctx context.Context) {
	if b.rig.site.NoNetwork == nil {
		return
	}
	text, err := b.rig.site.NoNetwork(ctx)
	if err != nil {
		b.isolation = failed("no canary answered the sandbox, and that it has no network at all nobody but itself can tell: %v", err)
		return
	}
	b.isolation = held("the sandbox has no network that could be broken: %s", text)
}

// A testimony is what one log says, or why it says nothing.
type testimony struct {
	name    string
	entries []Denial
	missing string
}

func readWitness(ctx context.Context, name string, read func(context.Context, time.Time) ([]Denial, error), since time.Time) testimony {
	if read == nil {
		return testimony{missing: "no " + strings.TrimPrefix(name, "the ") + " can be read here"}
	}
	all, err := read(ctx, since)
	if err != nil {
		return testimony{missing: name + " could not be read: " + plainText(err.Error())}
	}
	all = slices.DeleteFunc(all, func(d Denial) bool { return d.Time.Before(since) })
	return testimony{name: name, entries: all}
}

// denial joins a trial with the enforcer's log: on the nonce where a name carries it, else on address and port.
func (b *batch) denial(t *trialPlan) outcome {
	if t.aim.wall.ofSidecar() {
		return b.refusal(t)
	}
	if t.aim.wall == haltedWall {
		return b.haltedBy()
	}
	if o, ok := b.bound(t.aim); ok {
		return o
	}
	if o, ok := b.plainly(t); ok {
		return o
	}
	if b.denials.missing != "" {
		return notChecked("%s", b.denials.missing)
	}
	for _, d := range b.denials.entries {
		if !d.of(t.aim) {
			continue
		}
		if at, err := netip.ParseAddrPort(d.Dest); err == nil && at == netip.AddrPortFrom(t.aim.addr.Addr().Unmap(), t.aim.addr.Port()) { // a mapped address leaves the guest as IPv4
			return held("%s has the denial: %s to %s", b.denials.name, d.Op, d.Dest)
		}
	}
	return notChecked("%s has no denial of %s", b.denials.name, t.aim.where())
}

// of reports whether d can be of an attempt as a makes: an enforcer denies a stream at connect, and a datagram at sendto or, where its
// socket is connected first, at that. What other words an enforcer has is not known, and passes.
func (d Denial) of(a aim) bool {
	switch d.Op {
	case "connect":
		return a.class() == streams || a.method == agent.Connected
	case "sendto":
		return a.class() == datagrams
	}
	return true
}

// plainly is the witness of a trial whose own observation tells nothing, where the backend has an errno that only the policy gives:
// a plain connect to the same address in the same window met it.
func (b *batch) plainly(t *trialPlan) (outcome, bool) {
	if t.witness == nil || b.fault != "" {
		return outcome{}, false
	}
	res, ok := b.answer.Results[t.witness.ID]
	if !ok {
		return outcome{}, false
	}
	a := Attempt{Network: t.witness.Network, Method: t.witness.Method, Address: t.witness.Addr, Errno: res.Errno, ElapsedUS: res.ElapsedUS, Observation: res.Observation}
	if r, ok := accept(b.rig.site.Backend, policyWall, a); ok && r.policyOnly {
		return held("a plain connect to %s met %s, which only the policy gives", a.Address, a.Errno), true
	}
	return outcome{}, false
}

// bound is the witness of a listener that is kept from the guest by where it is bound: what its own kernel says.
func (b *batch) bound(a aim) (outcome, bool) {
	if a.wall != bindingWall || a.post == nil || a.post.Binding == nil {
		return outcome{}, false
	}
	o, ok := b.bindings[a.post]
	return o, ok
}

func (b *batch) readBindings(ctx context.Context) {
	b.bindings = make(map[*post]outcome)
	for _, t := range b.plan.trials {
		p := t.aim.post
		if t.aim.wall != bindingWall || p == nil || p.Binding == nil || b.bindings[p].Text != "" {
			continue
		}
		if text, err := p.Binding(ctx); err != nil {
			b.bindings[p] = failed("where %s listens: %v", p.Name, err)
		} else {
			b.bindings[p] = held("%s", text)
		}
	}
}

// refusal joins a trial with the proxy's log, by the nonce where what was asked for holds it, else by what was asked for.
func (b *batch) refusal(t *trialPlan) outcome {
	if b.refusals.missing != "" {
		return notChecked("%s", b.refusals.missing)
	}
	for _, d := range b.refusals.entries {
		if !t.named(d) && (len(d.Nonces) > 0 || !t.asked(d.Dest)) {
			continue
		}
		if other := b.another(t, d); other != "" {
			return notChecked("%s has the refusal of %s, and %s asked for that too", b.refusals.name, plainText(d.Dest), other)
		}
		return held("%s has the refusal: %s %s, rule %s", b.refusals.name, d.Op, plainText(d.Dest), d.Rule)
	}
	return notChecked("%s has no such refusal", b.refusals.name)
}

// another is a probe beside t's whose refusal d may be, "" if there is none.
func (b *batch) another(t *trialPlan, d Denial) string {
	if t.named(d) {
		return ""
	}
	for _, o := range b.plan.trials {
		if o.probe != t.probe && o.aim.wall.ofSidecar() && o.asked(d.Dest) {
			return o.probe
		}
	}
	return ""
}

// named reports whether d has a nonce of t's.
func (t *trialPlan) named(d Denial) bool {
	return slices.ContainsFunc(t.shots, func(s shot) bool {
		return strings.Contains(d.Dest, string(s.Nonce)) || slices.Contains(d.Nonces, s.Nonce)
	})
}

// asked reports whether dest is what t asks for.
func (t *trialPlan) asked(dest string) bool {
	name, _, _ := strings.Cut(dest, " ") // a hop that dials logs the address as well
	return t.aim.also.IsValid() && dest == t.aim.also.String() || t.aim.asked != "" && (sameDest(dest, t.aim.asked) || sameDest(name, t.aim.asked))
}

// sameDest compares what a log has with what was asked for: a proxy writes a mapped address as IPv4.
func sameDest(logged, asked string) bool {
	a, errA := netip.ParseAddrPort(logged)
	b, errB := netip.ParseAddrPort(asked)
	if errA != nil || errB != nil {
		return strings.EqualFold(logged, asked)
	}
	return a.Port() == b.Port() && a.Addr().Unmap() == b.Addr().Unmap()
}

// stopper is who stopped a probe, by what the witnesses agree on.
func (q question) stopper(v Verdict) string {
	if q.probe.Expect == Reach || len(q.trials) == 0 {
		return ""
	}
	if v == Leak {
		return "nobody"
	}
	if v != Contained {
		return ""
	}
	var all []string
	for _, t := range q.trials {
		if who := q.stopperOf(t); !slices.Contains(all, who) {
			all = append(all, who)
		}
	}
	return strings.Join(all, ", ")
}

func (q question) stopperOf(t trial) string {
	effective := t.effective()
	last := effective[len(effective)-1].Observation
	switch {
	case t.denial.State == Held && t.wall.ofSidecar():
		return "the sidecar's proxy, by its log"
	case t.denial.State == Held && t.wall == haltedWall:
		return "nobody had to: the sidecar was halted"
	case t.denial.State == Held && t.wall == bindingWall:
		return "the listener's binding, by its own kernel"
	case t.denial.State == Held && q.backend == TSI:
		return "the policy, by an errno that only it gives"
	case t.denial.State == Held:
		return "the enforcer, by its log"
	case t.wall.ofSidecar():
		return "the sidecar's proxy, by its answer"
	case q.policyOnly(t):
		return "the policy, by an errno that only it gives"
	case t.wall == bindingWall:
		return "the listener's binding"
	case t.wall == kernelWall || last == Unsupported:
		return "the guest's own kernel, by its word"
	case t.wall == ownWall:
		return "nobody had to: the address is the guest's own"
	case q.isolation.State == Held:
		return "nobody had to: the sandbox has no network"
	}
	return "the sandbox; which part of it, no witness says"
}
