package agent

import (
	"slices"
	"time"
)

const (
	// lastWord is kept back of the deadline for writing the response.
	lastWord = 200 * time.Millisecond
	// overrun is what a system call may take beyond its attempt's budget before the attempt is given up. On tsi connect is
	// synchronous and deaf to O_NONBLOCK (libkrunfw 516ceece af_tsi.c tsi_connect), so it has to be watched from outside.
	overrun = 100 * time.Millisecond
)

// Run makes the attempts of r, which is valid, phase by phase, and checks itself first. It returns by deadline, less what
// writing the response takes; what was not finished by then says so.
func Run(r Request, deadline time.Time) (Response, error) {
	b := newBatch(deadline, dial)
	resp := Response{Schema: Schema, Run: r.Run, Self: checkSelf(b.end)}
	watch := newListenerWatch(r.Attempts)
	watch.look()
	b.run(r.Attempts)
	watch.look()
	resp.Self.Listeners = watch.found
	resp.Self.Notes = append(resp.Self.Notes, watch.notes...)
	for _, a := range r.Attempts {
		resp.Results = append(resp.Results, b.results[a.ID])
	}
	return resp, nil
}

// phases groups attempts by phase, in order.
func phases(attempts []Attempt) [][]Attempt {
	sorted := slices.Clone(attempts)
	slices.SortStableFunc(sorted, func(a, b Attempt) int { return a.Phase - b.Phase })
	var all [][]Attempt
	for i, a := range sorted {
		if i == 0 || a.Phase != sorted[i-1].Phase {
			all = append(all, nil)
		}
		last := len(all) - 1
		all[last] = append(all[last], a)
	}
	return all
}

type batch struct {
	end     time.Time
	dial    func(Attempt, time.Time) Result
	flows   chan struct{} // one token per socket that exists
	results map[string]Result
}

// newBatch is a batch that has its results early enough before deadline to write them down.
func newBatch(deadline time.Time, dial func(Attempt, time.Time) Result) *batch {
	return &batch{
		end:     deadline.Add(-min(lastWord, time.Until(deadline)/4)),
		dial:    dial,
		flows:   make(chan struct{}, MaxFlows),
		results: make(map[string]Result),
	}
}

// run makes attempts phase by phase.
func (b *batch) run(attempts []Attempt) {
	for _, phase := range phases(attempts) {
		b.phase(phase)
	}
}

// phase makes attempts side by side and returns when each has a result.
func (b *batch) phase(attempts []Attempt) {
	done := make(chan Result, len(attempts))
	for _, a := range attempts {
		if a.After != "" && !a.When.Met(b.results[a.After]) {
			done <- a.outcome(StageSkipped)
			continue
		}
		go func() { done <- b.attempt(a) }()
	}
	for range attempts {
		r := <-done
		b.results[r.ID] = r
	}
}

// attempt waits for a's turn, dials, and gives up on a dial that does not come back.
func (b *batch) attempt(a Attempt) Result {
	end := time.NewTimer(time.Until(b.end))
	defer end.Stop()
	select {
	case <-time.After(a.Delay()):
	case <-end.C:
		return a.outcome(StageUnfinished)
	}
	select {
	case b.flows <- struct{}{}:
	case <-end.C:
		return a.outcome(StageUnfinished)
	}
	start := time.Now()
	done := make(chan Result, 1)
	go func() {
		defer func() { <-b.flows }() // a socket that is stuck keeps its token
		done <- b.dial(a, start)
	}()
	giveUp := time.NewTimer(a.patience())
	defer giveUp.Stop()
	select {
	case r := <-done:
		return r
	case <-giveUp.C:
		r := Result{ID: a.ID, Nonce: a.Nonce, Stage: StageConnect, ElapsedUS: time.Since(start).Microseconds()}
		r.Observation = Observe(a, r)
		return r
	case <-end.C:
		return a.outcome(StageUnfinished)
	}
}

// patience is when an attempt is given up that does not keep to its budget. The budget of one that a child makes begins when the child does.
func (a Attempt) patience() time.Duration {
	if a.Method == OwnNetNS {
		return a.Budget() + overrun + childStart
	}
	return a.Budget() + overrun
}

// outcome is the result of an attempt that was not made, or not to its end.
func (a Attempt) outcome(s Stage) Result {
	r := Result{ID: a.ID, Nonce: a.Nonce, Stage: s}
	r.Observation = Observe(a, r)
	return r
}
