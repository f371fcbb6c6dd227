package probes

import (
	"math/rand/v2"
	"slices"
	"strconv"
	"time"

	"bottle.internal/internal/echo"
	"bottle.internal/probes/agent"
)

const (
	// reachTries is how often an allowance is tried; the best counts.
	reachTries = 3
	// jitter spreads the rounds of a denial, so that a window which opens regularly is not missed regularly.
	jitter = 10 * time.Millisecond
	// startAllowance is the agent's own time beside its attempts: the self-check and the start of a process in a guest.
	startAllowance = 2 * time.Second
)

// backoff is how long the tries of an allowance wait.
var backoff = [reachTries]time.Duration{0, 50 * time.Millisecond, 250 * time.Millisecond}

// A plan is one batch and what each of its attempts is for.
type plan struct {
	request agent.Request
	trials  []*trialPlan
	// before and after are the attempts on the allowed destination that bracket the denials.
	before, after []shot
	// glance is the look that has to work in any guest: the control of those that find nothing.
	glance shot
}

// glancePath is there on every Linux.
const glancePath = "/proc/version"

// A trialPlan is one probe's attempts on one address.
type trialPlan struct {
	probe string
	aim   aim
	shots []shot
	path  bool // the attempts are the plan's before and after
	// witness is a plain connect to the same address, where the attempts' own end says nothing of who ended them.
	witness *shot
	// selves are a guest's dials of its own listener.
	selves []shot
}

// A shot is one attempt and its place among those on the same address.
type shot struct {
	agent.Attempt
	round int  // from 1
	slow  bool // the second look at a silence, with more time
}

// newPlan lays out a batch: the allowed destination first, then the denials round by round, then a second look at what was
// silent, then the allowed destination again.
func newPlan(r *rig, trials []*trialPlan) *plan {
	p := &plan{trials: trials, request: agent.Request{Schema: agent.Schema, Run: echo.NewNonce()}}
	phase := 0
	if slices.ContainsFunc(trials, func(t *trialPlan) bool { return t.aim.early }) {
		phase = 1
	}
	allowed := aim{addr: r.site.Allowed.Addr}
	if r.allowed != nil {
		p.before = p.tries(allowed, phase, 1, r.opts)
		phase += reachTries
	}
	p.glance = p.add(aim{network: agent.Look, method: agent.Read, path: glancePath}.attempt(0, r.opts.Budget), 1, false)
	last := phase
	for _, t := range trials {
		if !t.path && !t.aim.disrupts() {
			last = max(last, p.shoot(t, t.aim.begin(phase), r.opts))
		}
		if a, ok := r.witnessing(t.aim); ok {
			w := p.add(a.attempt(phase, a.time(r.opts)), 1, false)
			t.witness = &w
		}
	}
	for _, t := range trials { // each alone, one after the other
		if !t.path && t.aim.disrupts() {
			last = p.shoot(t, last, r.opts)
		}
	}
	if r.allowed != nil {
		p.after = p.tries(allowed, last, 1+reachTries, r.opts)
	}
	for _, t := range trials {
		if t.path {
			t.shots = append(append(t.shots, p.before...), p.after...)
		}
	}
	p.request.DeadlineMS = int(p.deadline().Milliseconds())
	return p
}

// begin is the phase of an aim's first attempts where those of others begin at phase.
func (a aim) begin(phase int) int {
	if a.early {
		return 0
	}
	return phase
}

// shoot plans the attempts of one aim from phase on, and returns the phase after them.
func (p *plan) shoot(t *trialPlan, phase int, o Options) int {
	budget := t.aim.time(o)
	if t.aim.expect == Reach {
		t.shots = p.tries(t.aim, phase, 1, o)
		return phase + reachTries
	}
	if t.aim.once() {
		t.shots = append(t.shots, p.add(t.aim.attempt(phase, budget), 1, false))
		t.selves = p.dialHome(t.aim, phase)
		return phase + 1
	}
	slow := phase + o.Attempts
	for round := range o.Attempts {
		a := t.aim.attempt(phase+round, budget)
		if round > 0 {
			a.DelayMS = rand.IntN(int(jitter.Milliseconds()))
		}
		first := p.add(a, round+1, false)
		again := t.aim.attempt(slow, slowFactor*budget)
		again.After, again.When = first.ID, agent.WhenFiltered
		t.shots = append(t.shots, first, p.add(again, round+1, true))
	}
	return slow + 1
}

// dialHome plans a guest's dials of itself.
func (p *plan) dialHome(a aim, phase int) []shot {
	if !a.home.IsValid() {
		return nil
	}
	var all []shot
	for i := range selfDials {
		self := aim{addr: a.home}.attempt(phase, proxyBudget)
		self.DelayMS = int((a.homeAfter + time.Duration(i)*selfEvery).Milliseconds())
		all = append(all, p.add(self, i+1, false))
	}
	return all
}

// witnessing is the aim of a plain connect that tells who denies a's address: on tsi datagrams are dropped without a word, and a way
// round the wall that the guest's own kernel does not go says nothing of the wall.
func (r *rig) witnessing(a aim) (aim, bool) {
	if r.site.Backend != TSI || a.wall != policyWall {
		return aim{}, false
	}
	w := aim{addr: a.addr, wall: policyWall} // by TCP: the policy goes by address, and only a connect is answered
	switch {
	case a.class() == datagrams:
	case a.class() == streams && a.method != "" && a.method != agent.Resolver && a.method != agent.Named: // whose address only the guest knows
	default:
		return aim{}, false
	}
	if a.method == agent.Resolver {
		w.method = agent.Resolver // only the guest knows its address
	}
	return w, true
}

// tries plans the attempts of an allowance from phase on, numbered from round on, each made only if the one before did not
// reach.
func (p *plan) tries(target aim, phase, round int, o Options) []shot {
	var all []shot
	for i, wait := range backoff {
		a := target.attempt(phase+i, target.time(o))
		a.DelayMS = int(wait.Milliseconds())
		if i > 0 {
			a.After, a.When = all[i-1].ID, agent.WhenNotReachable
		}
		all = append(all, p.add(a, round+i, false))
	}
	return all
}

// add gives a its id, which is its number in the batch.
func (p *plan) add(a agent.Attempt, round int, slow bool) shot {
	a.ID = strconv.Itoa(len(p.request.Attempts) + 1)
	p.request.Attempts = append(p.request.Attempts, a)
	return shot{Attempt: a, round: round, slow: slow}
}

// deadline is what the batch takes if every attempt takes all of its time.
func (p *plan) deadline() time.Duration {
	longest := make(map[int]time.Duration)
	flows := make(map[int]int)
	for _, a := range p.request.Attempts {
		flows[a.Phase]++
		longest[a.Phase] = max(longest[a.Phase], a.Delay()+a.Budget())
	}
	total := startAllowance
	for phase, n := range flows {
		waves := (n + agent.MaxFlows - 1) / agent.MaxFlows
		total += time.Duration(waves) * (longest[phase] + jitter)
	}
	return min(total, agent.MaxDeadline)
}

// nonces are all that the guest is given.
func (p *plan) nonces() map[echo.Nonce]bool {
	all := make(map[echo.Nonce]bool, len(p.request.Attempts))
	for _, a := range p.request.Attempts {
		all[a.Nonce] = true
	}
	return all
}
