package probes

import (
	"fmt"
	"slices"
	"time"

	"bottle.internal/probes/agent"
)

// A question is all that the judge may look at for one probe. It has no clock, no connection and no other probe.
type question struct {
	probe     Probe
	backend   string
	simulated bool
	asked     bool    // by its id, not by a pattern or for want of one
	absence   absence // why there is nothing to judge
	fault     string  // why nothing that came out of the guest counts
	weak      string  // why all that came out of the guest is weaker evidence than the agent's; "" is the agent's
	self      outcome // C0
	path      outcome // C2
	glance    outcome // C2 of what needs no network
	isolation outcome // that somebody else sees the sandbox without a network; the zero outcome is that it is not said to be
	trials    []trial
	kills     []string // mutants that this probe has killed, with the kit of kit
	kit       string
}

// A trial is what became of the attempts on one address.
type trial struct {
	target    string
	wall      wall
	class     class
	nobody    bool
	absent    string  // why no canary was up
	before    outcome // C1
	after     outcome // C1
	log       outcome // whether the listener's silence can be seen
	shadow    string  // the guest's own listener that would answer in the target's place
	strangers []Stranger
	attempts  []Attempt
	flip      outcome // C3
	denial    outcome // whether the enforcer's own log has the denial
}

// A ruling is a verdict with its reason.
type ruling struct {
	Verdict Verdict
	Reason  string
}

func rule(v Verdict, format string, args ...any) ruling {
	return ruling{v, fmt.Sprintf(format, args...)}
}

// judge answers a question. It is a pure function.
func judge(q question) Finding {
	f := Finding{ID: q.probe.ID, Severity: q.probe.Severity, Expect: q.probe.Expect}
	if q.absence.why != "" {
		f.Verdict, f.Reason = NotApplicable, q.absence.why
		if q.absence.unproven && q.asked {
			f.Verdict, f.Reason = Inconclusive, "nothing to dial: "+q.absence.why
		}
		return f
	}
	worst := rule(Error, "nothing was tried")
	for i, t := range q.trials {
		r := q.trial(t)
		if i == 0 || r.Verdict.Worse(worst.Verdict) {
			worst = r
		}
		f.Attempts = append(f.Attempts, t.attempts...)
		f.Warnings = append(f.Warnings, q.warnings(t)...)
	}
	f.Verdict, f.Reason = worst.Verdict, worst.Reason
	if n := len(q.trials); f.Verdict == Contained && n > 1 {
		f.Reason += fmt.Sprintf("; likewise at %d more addresses", n-1)
	}
	if q.absence.besides != "" {
		f.Warnings = append(f.Warnings, q.absence.besides)
	}
	f.StoppedBy = q.stopper(f.Verdict)
	f.Controls = q.controls()
	if f.Verdict != Error {
		f.Assurance = assurance(f.Controls)
	}
	q.weaken(&f)
	return f
}

// weaken takes from a finding of weaker evidence what only the agent's can carry: it is L1 at most, and says so.
func (q question) weaken(f *Finding) {
	if q.weak == "" {
		return
	}
	f.Warnings = append(f.Warnings, "weaker evidence: "+q.weak)
	if f.Assurance > L1 {
		f.Assurance = L1
	}
}

func (q question) trial(t trial) ruling {
	if q.probe.Expect == Reach {
		return q.reach(t)
	}
	return q.contain(t)
}

// contain judges a denial: one sighting is final, and after that whatever is missing first.
func (q question) contain(t trial) ruling {
	for _, rules := range []func(trial) (ruling, bool){q.leaked, q.faulty, q.uncontrolled, q.unwitnessed, q.unaccepted} {
		if r, ok := rules(t); ok {
			return r
		}
	}
	return rule(Contained, "%s: %s, and %s", t.target, t.effective()[0], t.silence())
}

// leaked: the listener saw a nonce, or what only it knows came back. What the guest claims plays no part.
func (q question) leaked(t trial) (ruling, bool) {
	for _, a := range t.attempts {
		if len(a.Sightings) > 0 {
			s := a.Sightings[0]
			by := t.target
			if s.Name == worldName && by != worldName {
				by = "the world stands in for " + by + " and"
			}
			return rule(Leak, "%s saw the nonce of round %d from %s; the guest says %s", by, a.Round, s.Peer, a.claim()), true
		}
		if a.Shown != "" {
			return rule(Leak, "%s: %s", t.target, a.Shown), true
		}
		if a.Proved && len(a.Elsewhere) == 0 {
			return rule(Leak, "%s: the guest has a proof that only the listener could make", t.target), true
		}
	}
	for _, a := range t.attempts {
		if len(a.Elsewhere) > 0 && a.Method != agent.SameSocket {
			return rule(Inconclusive, "%s: the nonce of round %d arrived at the allowed destination instead", t.target, a.Round), true
		}
	}
	return ruling{}, false
}

// faulty: what the guest printed does not count, or the attempt could not be made.
func (q question) faulty(t trial) (ruling, bool) {
	if q.fault != "" {
		return rule(Error, "%s", q.fault), true
	}
	if len(t.attempts) == 0 {
		return rule(Error, "%s: no attempt was made", t.target), true
	}
	for _, a := range t.attempts {
		if a.Fault != "" {
			return rule(Error, "%s: round %d was %s", t.target, a.Round, a.Fault), true
		}
		if q.weak != "" && a.Stage == agent.StageUnfinished {
			return rule(Inconclusive, "C0: %s: round %d was not made: %s", t.target, a.Round, q.unmade()), true
		}
		if a.Observation == ProbeError {
			return rule(Error, "%s: round %d could not be made: stage %q, errno %q", t.target, a.Round, a.Stage, a.Errno), true
		}
	}
	return ruling{}, false
}

// uncontrolled: a control is missing without which an attempt means nothing.
func (q question) uncontrolled(t trial) (ruling, bool) {
	if q.self.State != Held {
		return rule(Inconclusive, "C0: %s", q.self.Text), true
	}
	if c2 := q.way(t); c2.State != Held {
		return rule(Inconclusive, "C2: %s", c2.Text), true
	}
	if a, ok := q.ambiguous(t); ok && t.absent != "" {
		return rule(Inconclusive, "C1: no canary at %s: %s; and %s in round %d is not what only the policy gives: %s", t.target, t.absent, a.claim(), a.Round, q.explain(t, a)), true
	}
	if t.absent == "" && t.before.State != Held {
		return rule(Inconclusive, "C1: before the attempts: %s", t.before.Text), true
	}
	if t.absent == "" && t.after.State != Held {
		return rule(Inconclusive, "C1: after the attempts: %s", t.after.Text), true
	}
	if t.shadow != "" {
		return rule(Inconclusive, "C1: the guest itself listens at %s and would answer in place of %s", t.shadow, t.target), true
	}
	return ruling{}, false
}

// way is C2 for a trial: the allowed destination answers, or, where no network is on the way, a look finds what is there.
func (q question) way(t trial) outcome {
	if t.class == local {
		return q.glance
	}
	return q.path
}

// unwitnessed: the listener's silence could not be seen, or it was not silent.
func (q question) unwitnessed(t trial) (ruling, bool) {
	if t.absent != "" || t.wall == kernelWall && t.log.State == NotChecked {
		return ruling{}, false // judged by an errno that only the policy gives, or by the guest's word, which is no witness
	}
	if t.log.State == Failed || (t.log.State == NotChecked && !q.policyOnly(t)) {
		return rule(Inconclusive, "C4: %s", t.log.Text), true
	}
	if n := len(t.strangers); n > 0 {
		return rule(Inconclusive, "C4: %s had %d connections without a nonce, one from %s", t.target, n, t.strangers[0].Peer), true
	}
	return ruling{}, false
}

// unaccepted: the target was not reached, but not in the way of a wall that holds.
func (q question) unaccepted(t trial) (ruling, bool) {
	for _, a := range t.effective() {
		if a.Lacks != "" {
			return rule(Inconclusive, "%s: the guest's answer lacks %s", t.target, a.Lacks), true
		}
		if _, ok := accept(q.backend, t.wall, a); !ok {
			return rule(Inconclusive, "%s: %s in round %d: %s", t.target, a.claim(), a.Round, q.explain(t, a)), true
		}
	}
	return ruling{}, false
}

// reach judges an allowance: the best attempt counts.
func (q question) reach(t trial) ruling {
	for _, a := range t.attempts {
		if a.Proved {
			return rule(Contained, "%s answered with its proof: %s in %s", t.target, a.Address, a.Elapsed().Round(time.Microsecond))
		}
	}
	if r, ok := q.faulty(t); ok {
		return r
	}
	if q.self.State != Held {
		return rule(Inconclusive, "C0: %s", q.self.Text)
	}
	for _, a := range t.attempts {
		if a.Forged {
			return rule(Inconclusive, "%s: the guest claims reach with a proof that is not the listener's", t.target)
		}
	}
	for _, c1 := range []outcome{t.before, t.after} {
		if c1.State != Held {
			return rule(Inconclusive, "C1: %s", c1.Text)
		}
	}
	return rule(Overblocked, "%s is alive, and the guest does not reach it: %s", t.target, t.attempts[len(t.attempts)-1])
}

// warnings are what does not change a verdict and should be known.
func (q question) warnings(t trial) []string {
	if q.probe.Expect != Reach {
		return nil
	}
	i := slices.IndexFunc(t.attempts, func(a Attempt) bool { return a.Proved })
	switch {
	case i > 0:
		return []string{fmt.Sprintf("%s was reached at try %d only; before that: %s", t.target, i+1, t.attempts[i-1])}
	case i == 0 && q.path.State == Failed:
		return []string{"reached once, but: " + q.path.Text}
	}
	return nil
}

// effective are the attempts that count: where a silence was looked at again, the second look.
func (t trial) effective() []Attempt {
	var all []Attempt
	for _, a := range t.attempts {
		if last := len(all) - 1; last >= 0 && a.Slow && all[last].Round == a.Round {
			all[last] = a
			continue
		}
		all = append(all, a)
	}
	return all
}

// policyOnly reports whether every attempt ended as only the policy can end it.
func (q question) policyOnly(t trial) bool {
	_, ok := q.ambiguous(t)
	return !ok && len(t.attempts) > 0
}

// ambiguous finds an attempt that something else than the policy could have ended as it ended.
func (q question) ambiguous(t trial) (Attempt, bool) {
	for _, a := range t.effective() {
		r, ok := accept(q.backend, t.wall, a)
		// A simulated engine without a world refuses whatever is not its host's, policy or not.
		alone := r.nobody && t.nobody && (t.absent == "" || !q.simulated)
		if !ok || (!r.policyOnly && !alone) {
			return a, true
		}
	}
	return Attempt{}, false
}
