package probes

import (
	"context"
	"encoding/json"
	"slices"
	"time"

	"bottle.internal/internal/echo"
	"bottle.internal/probes/agent"
)

// A twinBatch is what the twin was asked, and what came of it: each aim once more, with fresh nonces, until it reaches.
type twinBatch struct {
	request agent.Request
	shots   map[*trialPlan][]shot
	answer  agent.Answer
	fault   string
}

// flippable reports whether a twin without the policy can be expected to get through at a.
func (a aim) flippable() bool {
	return slices.Contains([]wall{policyWall, nameWall, candidWall}, a.wall) && a.class() != served && a.absent == "" && a.post != nil
}

// flipped is what the twin is asked: the same, but for a flood its first dial alone. There is nothing that could give way, and a canary
// that a thousand flows reach has some of them without their nonce.
func (a aim) flipped() aim {
	if a.method == agent.Flood {
		a.method, a.count, a.budget = "", 0, 0
	}
	return a
}

// newTwinBatch lays out what the twin is asked. The aims that disrupt a guest come last and alone, as in the guest itself.
func newTwinBatch(trials []*trialPlan, o Options) *twinBatch {
	p := &plan{request: agent.Request{Schema: agent.Schema, Run: echo.NewNonce()}}
	t := &twinBatch{shots: make(map[*trialPlan][]shot)}
	last := reachTries
	for _, tr := range trials {
		if a := tr.aim.flipped(); a.flippable() && !a.disrupts() {
			t.shots[tr] = p.tries(a, 0, 1, o)
		}
	}
	for _, tr := range trials {
		if a := tr.aim.flipped(); a.flippable() && a.disrupts() {
			t.shots[tr] = []shot{p.add(a.attempt(last, a.time(o)), 1, false)}
			last++
		}
	}
	p.request.DeadlineMS = int(p.deadline().Milliseconds())
	t.request = p.request
	return t
}

// askTwin runs the twin's batch. It comes after the guest's, so that a stranger at a canary is never the twin's.
func (b *batch) askTwin(ctx context.Context) {
	if b.rig.site.Twin == nil {
		return
	}
	t := newTwinBatch(b.plan.trials, b.rig.opts)
	b.twin = t
	if len(t.request.Attempts) == 0 {
		return
	}
	request, err := json.Marshal(t.request)
	if err != nil {
		t.fault = "the twin's batch cannot be written down: " + err.Error()
		return
	}
	ctx, cancel := context.WithTimeout(ctx, time.Duration(t.request.DeadlineMS)*time.Millisecond+transportAllowance)
	defer cancel()
	response, err := b.rig.site.Twin.Run(ctx, request)
	if err != nil {
		t.fault = "the twin could not be asked: " + plainText(err.Error())
		return
	}
	if t.answer, err = t.request.Decode(response); err != nil {
		t.fault = "the twin: " + err.Error()
	}
}

// flip is C3 for one trial: a log in which a leak would be seen has a nonce that only the twin was given. The twin's word plays no
// part.
func (b *batch) flip(t *trialPlan) outcome {
	switch {
	case t.path:
		return notChecked("the allowed destination is allowed to both")
	case t.aim.wall.ofSidecar() && t.aim.post != nil && t.aim.post.before.State == Held && b.rig.site.Proxy != nil && b.rig.site.Proxy.Dial != nil:
		return held("past its rules, the proxy's own position reaches %s", t.aim.post.Name)
	case t.aim.post != nil && t.aim.post.reached.Text != "":
		return t.aim.post.reached
	case b.twin == nil:
		return notChecked("no twin without the policy was asked")
	case !t.aim.flippable():
		return notChecked("a twin without the policy has the same wall here (%s)", t.aim.wall)
	}
	for _, s := range b.twin.shots[t] {
		if seen := of(s.Nonce, b.seenOf(t.aim.post)); len(seen) > 0 {
			return held("%s, without the policy, reached %s", b.rig.site.Twin.Name, t.aim.post.Name)
		}
	}
	if b.twin.fault != "" {
		return failed("%s", b.twin.fault)
	}
	said := "nothing that counts"
	for _, s := range b.twin.shots[t] {
		if r, ok := b.twin.answer.Results[s.ID]; ok && r.Stage != agent.StageSkipped {
			said = string(r.Observation) + " " + r.Errno
		}
	}
	return failed("%s, without the policy, does not reach %s either (%s): the attempt cannot show a leak there", b.rig.site.Twin.Name, t.aim.post.Name, said)
}

// twinNonces are all that the twin was given.
func (b *batch) twinNonces(into map[echo.Nonce]bool) {
	if b.twin == nil {
		return
	}
	for _, a := range b.twin.request.Attempts {
		into[a.Nonce] = true
	}
}
