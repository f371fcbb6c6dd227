package probes

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// controls are C0 to C5 as they stand for the question.
func (q question) controls() []Control {
	return []Control{
		q.self.control("C0"),
		q.alive().control("C1"),
		q.ways().control("C2"),
		q.flips().control("C3"),
		q.witness().control("C4"),
		q.killed().control("C5"),
	}
}

// ways is C2 over all trials.
func (q question) ways() outcome {
	var all []outcome
	for _, t := range q.trials {
		all = append(all, q.way(t))
	}
	if len(all) == 0 {
		return q.path
	}
	return worst(all)
}

// flips is C3 over all trials: the twin, whose policy is off, gets through where this guest does not.
func (q question) flips() outcome {
	var all []outcome
	for _, t := range q.telling() {
		if t.flip.Text == "" {
			t.flip = notChecked("no twin without the policy was asked")
		}
		all = append(all, t.flip)
	}
	return worst(all)
}

// telling are the trials that say something of the sandbox: an address that is the guest's own is tried beside them, and no twin and
// no log can say more of it.
func (q question) telling() []trial {
	all := slices.DeleteFunc(slices.Clone(q.trials), func(t trial) bool { return t.wall == ownWall })
	if len(all) == 0 {
		return q.trials
	}
	return all
}

// killed is C5: this probe, with this kit, has turned red on a sandbox that was broken on purpose.
func (q question) killed() outcome {
	if len(q.kills) == 0 {
		return notChecked("no broken sandbox is on record that this probe told apart with this kit")
	}
	return held("with kit %s it told apart: %s", q.kit, strings.Join(q.kills, ", "))
}

func (o outcome) control(id string) Control { return Control{ID: id, State: o.State, Text: o.Text} }

// alive is C1 over all trials: the worst of them.
func (q question) alive() outcome {
	var all []outcome
	for _, t := range q.trials {
		all = append(all, q.aliveAt(t))
	}
	return worst(all)
}

func (q question) aliveAt(t trial) outcome {
	if q.probe.Expect == Reach {
		for _, a := range t.attempts {
			if a.Proved {
				return held("%s answered with its proof", t.target)
			}
		}
	}
	if t.nobody && t.absent != "" && q.policyOnly(t) {
		return held("nobody has %s, so that nothing there could be dead", t.target)
	}
	if t.absent != "" {
		return notChecked("no canary at %s: %s", t.target, t.absent)
	}
	if o := worst([]outcome{t.before, t.after}); o.State != Held {
		return o
	}
	return held("%s, before and after", t.before.Text)
}

// witness is C4 over all trials: silence, and somebody who says who stopped it.
func (q question) witness() outcome {
	var all []outcome
	for _, t := range q.telling() {
		if q.probe.Expect == Reach {
			all = append(all, q.logged(t))
		} else {
			all = append(all, q.stoppedBy(t))
		}
	}
	return worst(all)
}

// logged is the second witness of an allowance: the listener's log beside its proof.
func (q question) logged(t trial) outcome {
	for _, a := range t.attempts {
		if a.Proved && len(a.Sightings) > 0 {
			return held("%s logged the nonce that it proved", t.target)
		}
	}
	return notChecked("no log of %s shows the nonce", t.target)
}

func (q question) stoppedBy(t trial) outcome {
	for _, a := range t.attempts {
		if len(a.Sightings) > 0 {
			return failed("%s saw the probe", t.target)
		}
	}
	switch {
	case t.log.State == Failed:
		return t.log
	case len(t.strangers) > 0:
		return failed("%s had %d connections without a nonce", t.target, len(t.strangers))
	case t.denial.State == Held && t.log.State == Held:
		return held("%s was silent, and %s", t.target, t.denial.Text)
	case q.policyOnly(t) && t.absent != "":
		return held("%s: nothing but the policy gives %s there", t.target, t.effective()[0].claim())
	case q.policyOnly(t) && t.log.State == Held:
		return held("%s was silent, and nothing but the policy gives %s there", t.target, t.effective()[0].claim())
	case t.wall.ofSidecar() && t.log.State == Held && t.denial.Text != "":
		return t.denial
	case q.isolation.State == Held && t.log.State == Held && t.class != local && t.class != served:
		return held("%s was silent, and %s", t.target, q.isolation.Text)
	case t.log.State == Held:
		return notChecked("%s was silent; who stopped it is not known: %s", t.target, cmp.Or(t.denial.Text, "no log of the enforcer was read"))
	case t.wall == kernelWall:
		return notChecked("%s: only the guest's word", t.target)
	}
	return notChecked("whether %s was silent is not known", t.target)
}

// worst is the first outcome that failed, else the first that was not checked, else all of them in one. None at all is not
// checked.
func worst(all []outcome) outcome {
	var texts []string
	found := outcome{State: Held}
	for _, o := range all {
		switch {
		case o.State == Failed && found.State != Failed, o.State == NotChecked && found.State == Held:
			found = o
		}
		if len(texts) == 0 || texts[len(texts)-1] != o.Text {
			texts = append(texts, o.Text)
		}
	}
	if len(all) == 0 {
		return notChecked("there was nothing to check")
	}
	if found.State == Held {
		found.Text = strings.Join(texts, "; ")
	}
	return found
}

// selfControl is C0, by what the guest says of itself. A guest without a network may not have so much as a loopback that is up; then what
// shows that the prober runs is what it can read.
func (b *batch) selfControl() outcome {
	switch s := b.answer.Self; {
	case b.fault != "":
		return notChecked("the guest gave no answer that counts")
	case s.Echo && s.Weak != "":
		return held("a nonce came back in %s, %s", microseconds(s.EchoUS), s.Weak)
	case s.Weak != "":
		return failed("%s", s.EchoError)
	case s.Echo:
		return held("a nonce went round the guest's own loopback in %s, at try %d", microseconds(s.EchoUS), s.EchoTries)
	case b.isolation.State == Held && b.glance().State == Held:
		return held("the prober could read %s, and the guest's loopback is not up: %s", glancePath, s.EchoError)
	default:
		return failed("no nonce went round the guest's own loopback: %s", s.EchoError)
	}
}

// pathControl is C2: the allowed destination proved a nonce before and after the denials, in the same batch, or there is no
// network.
func (b *batch) pathControl(before, after []Attempt) outcome {
	switch {
	case b.plan.before == nil && b.isolation.Text != "":
		return b.isolation
	case b.plan.before == nil:
		return notChecked("the site names no allowed destination")
	case b.fault != "":
		return notChecked("the guest gave no answer that counts")
	}
	first, ok := proved(before)
	if !ok {
		return failed("the allowed destination did not answer before the attempts: %s", last(before))
	}
	second, ok := proved(after)
	if !ok {
		return failed("the allowed destination did not answer after the attempts: %s", last(after))
	}
	return held("the allowed destination proved a nonce before (%s) and after (%s)", microseconds(first.ElapsedUS), microseconds(second.ElapsedUS))
}

func proved(all []Attempt) (Attempt, bool) {
	for _, a := range all {
		if a.Proved {
			return a, true
		}
	}
	return Attempt{}, false
}

func last(all []Attempt) string {
	if len(all) == 0 {
		return "no attempt counts"
	}
	return all[len(all)-1].String()
}

func microseconds(us int64) string {
	if us < 1000 {
		return fmt.Sprintf("%d µs", us)
	}
	return fmt.Sprintf("%.1f ms", float64(us)/1000)
}
