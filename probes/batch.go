package probes

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"time"
	"unicode"

	"bottle.internal/internal/echo"
	"bottle.internal/probes/agent"
)

// transportAllowance is what carrying a batch into a sandbox and out again may take beside the batch's own deadline.
const transportAllowance = 30 * time.Second

// askPause is between two tries to ask a sandbox that was just started.
const askPause = 20 * time.Millisecond

// A batch is one run of the agent with what was watched around it.
type batch struct {
	rig    *rig
	plan   *plan
	answer agent.Answer
	fault  string     // why nothing in the answer counts
	twin   *twinBatch // nil if there is none

	denials, refusals testimony
	bindings          map[*post]outcome
	intrusions        map[*trialPlan][]*intrusion
	isolation         outcome // C2 of a sandbox without a network; the zero outcome is any other's

	halted string // who says that the sidecar did nothing meanwhile; "" is a sidecar that runs
	// between is done once the listeners are armed, before the sandbox is asked; its error is the batch's fault. nil is nothing.
	between func(context.Context) error
	// after is done once the listeners were seen to be alive at the end, before their logs are read; nil is nothing.
	after func(context.Context)
	// patience is how long a sandbox may take until it can be asked at all: 0 asks it once.
	patience time.Duration
}

// run brackets the agent's batch with the controls and collects what the listeners saw. It goes on to the end after a failure
// of the agent: a leak is a leak even if the guest does not say so.
func (b *batch) run(ctx context.Context) {
	posts := b.rig.postsOf(b.plan)
	each(posts, func(p *post) { p.arm(ctx) })
	if b.between != nil {
		if err := b.between(ctx); err != nil {
			b.fault = "the sandbox could not be brought where it is to be asked: " + plainText(err.Error())
		}
	}
	b.visit(ctx, func() { b.ask(ctx) })
	b.askTwin(ctx)
	each(posts, func(p *post) { p.after = p.check(ctx) })
	select {
	case <-time.After(b.rig.opts.Grace):
	case <-ctx.Done():
	}
	if b.after != nil {
		b.after(ctx)
	}
	nonces := b.plan.nonces()
	b.twinNonces(nonces)
	each(posts, func(p *post) { p.collect(ctx, nonces) })
	if a := b.rig.allowed; a != nil {
		b.lookAtAllowed(ctx, a)
	}
	b.readWitnesses(ctx)
}

// ask carries the batch into the sandbox and checks what comes out.
func (b *batch) ask(ctx context.Context) {
	if b.fault != "" {
		return
	}
	request, err := json.Marshal(b.plan.request)
	if err != nil {
		b.fault = "the batch cannot be written down: " + err.Error()
		return
	}
	limit := time.Duration(b.plan.request.DeadlineMS)*time.Millisecond + transportAllowance
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	response, err := b.rig.site.Run(ctx, request)
	for end := time.Now().Add(b.patience); err != nil && time.Now().Before(end) && ctx.Err() == nil; {
		time.Sleep(askPause)
		response, err = b.rig.site.Run(ctx, request)
	}
	if err != nil {
		b.fault = "the agent could not be run: " + plainText(err.Error())
		return
	}
	if b.answer, err = b.plan.request.Decode(response); err != nil {
		b.fault = err.Error()
	}
}

// lookAtAllowed reads the allowed destination's log, if it has one, and dials it from its own position if the guest did not
// reach it every time: an answer is proof enough that it is alive.
func (b *batch) lookAtAllowed(ctx context.Context, a *post) {
	if a.Sightings != nil {
		if all, err := a.Sightings(ctx); err == nil {
			a.sightings = all
		}
	}
	a.before = held("%s answered the guest", a.Name)
	a.after = a.before
	if b.pathControl(b.pathAttempts()).State != Held {
		a.after = a.check(ctx)
		a.before = a.after
	}
}

// plainText takes out what a terminal would act on: the text may quote what a guest printed.
func plainText(s string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, s)
}

func (b *batch) joiner() joiner {
	return joiner{results: b.answer.Results, faults: b.answer.Faults, fault: b.fault}
}

// pathAttempts are the attempts on the allowed destination before and after the others.
func (b *batch) pathAttempts() (before, after []Attempt) {
	if b.rig.allowed == nil {
		return nil, nil
	}
	return b.join(b.plan.before, b.rig.allowed, aim{}, nil), b.join(b.plan.after, b.rig.allowed, aim{}, nil)
}

func (b *batch) join(shots []shot, at *post, of aim, allowed []echo.Sighting) []Attempt {
	var all []Attempt
	j := b.joiner()
	for _, s := range shots {
		a, made := j.join(s, at.Target, b.seenOf(at), allowed)
		if !made {
			continue
		}
		reply := j.results[s.ID].Reply
		if of.proves != nil && a.Fault == "" && of.proves(s.Send, reply) {
			a.Proved, a.Observation, a.Reply = true, Reachable, ""
		}
		if a.Fault == "" {
			a.Observation = of.reading(reply, a.Observation)
		}
		if of.shows != nil && a.Fault == "" && len(reply) > 0 {
			a.Shown = plainText(of.shows(reply))
		}
		if a.Fault == "" {
			a.Lacks = of.lacks(reply)
		}
		all = append(all, a)
	}
	return all
}

// seenOf is what was seen of attempts on at: by its own listener, and by the world, where what is sent to an address of the host may
// end up all the same. The allowed destination's log has a meaning of its own, and is not among it.
func (b *batch) seenOf(at *post) []echo.Sighting {
	if w := b.rig.world; w != nil && at != w && at != b.rig.allowed {
		return slices.Concat(at.sightings, w.sightings)
	}
	return at.sightings
}

func (b *batch) allowedSightings() []echo.Sighting {
	if b.rig.allowed == nil {
		return nil
	}
	return b.rig.allowed.sightings
}

// question is what the judge may look at for one probe.
func (b *batch) question(it item, allowed []echo.Sighting) question {
	q := question{
		probe: it.probe, backend: b.rig.site.Backend, simulated: b.rig.site.Simulated, asked: it.asked,
		absence: it.absence, fault: b.fault, weak: b.answer.Self.Weak, self: b.selfControl(), path: b.pathControl(b.pathAttempts()), glance: b.glance(), isolation: b.isolation,
		kills: b.rig.opts.Kills[it.probe.ID], kit: b.rig.opts.Kit,
	}
	for _, t := range b.plan.trials {
		if t.probe == it.probe.ID {
			q.trials = append(q.trials, b.trial(t, allowed))
		}
	}
	return q
}

func (b *batch) trial(t *trialPlan, allowed []echo.Sighting) trial {
	at := t.aim.post
	if at == nil {
		at = &post{Target: Target{Name: t.aim.where()}}
	}
	if t.path {
		allowed = nil // that is the target itself
	}
	tr := trial{
		target: at.Name, wall: t.aim.wall, class: t.aim.class(), nobody: t.aim.nobody, absent: t.aim.absent,
		before: at.before, after: at.after, log: at.log,
		shadow: b.shadow(t.aim), attempts: b.join(t.shots, at, t.aim, allowed),
		flip: b.flip(t), denial: b.denial(t),
	}
	if t.aim.post == nil && t.aim.absent == "" {
		tr.before, tr.after, tr.log = b.glance(), b.glance(), notChecked("the guest's word is all there is")
	}
	if tr.class == served {
		b.serving(t, &tr)
	}
	if t.aim.across != nil {
		b.crossing(t, &tr)
	}
	if at.strangersSince != nil {
		tr.strangers = at.strangersSince(t.aim.addr, b.rig.started)
	}
	return tr
}

// glance is whether a look that finds something in any guest did.
func (b *batch) glance() outcome {
	if b.fault != "" {
		return notChecked("the guest gave no answer that counts")
	}
	r, ok := b.answer.Results[b.plan.glance.ID]
	if !ok || r.Observation != Readable {
		return failed("%s could not be read, which every Linux has: %s", glancePath, r.Errno)
	}
	return held("%s was read", glancePath)
}
