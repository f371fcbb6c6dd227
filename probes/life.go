package probes

import (
	"context"
	"slices"
	"strings"
	"time"
)

const (
	actRestart = "restart"
	// firstWithin is how long a sandbox that was started may take until it takes a first command.
	firstWithin = 20 * time.Second
	// repeatSilence and repeatServing are Options.Silence and Options.Serving where an attempt is repeated: the first time it had all of it.
	repeatSilence = 100 * time.Millisecond
	repeatServing = 250 * time.Millisecond
)

// repeatControl is what makes a repetition count.
const repeatControl = "Each probe brings its own controls and has to say what it said before. The finding is the worst that changed, and names it; a control holds " +
	"if it holds wherever it held before. What did not hold before could not be lost: the finding names it, and where nothing held nothing is known."

// restartProbes are asked in a sandbox that was stopped and started again.
var restartProbes = []Probe{
	{
		ID: "life.restart", Family: "life", Severity: Critical, Expect: Contain, act: actRestart, lacks: unrestartable,
		What: "Stop the sandbox, start it again, and repeat every critical and high probe of the network that meant something before.",
		Why: "What is true of a sandbox that was just made may not be true of the same one later: policies have been lost between a stop and a start, " +
			"and an agent can wait for that.",
		Control: repeatControl,
		Remedy:  "Look at what the engine keeps of a machine's policy when it stops it. Until that is mended make a new sandbox instead of starting an old one.",
		Source:  "E2B (egress after resume); smolvm#1212 (a round trip by a pack lost the policy)",
		Where:   "Where the sandbox may be stopped and started: not one that somebody else launched.",
	},
	{
		ID: "net.tcp.boot-window", Family: "net.tcp", Severity: High, Expect: Contain, act: actRestart, lacks: unrestartable,
		What:    "Dial the host's loopback, an address of the host's and one of the internet by the first command that the sandbox takes after its start.",
		Why:     "A policy that comes into force a moment after the sandbox runs is none for whatever runs first.",
		Control: canaryControl + " The canaries are up before the sandbox is started, and the attempts are the first command's first.",
		Remedy:  "Put the policy in force before anything of the sandbox runs.",
		Source:  "network-policy-api#273; ovn-kubernetes#6376", Where: "Where the sandbox may be stopped and started: not one that somebody else launched.",
	},
}

func unrestartable(s Site) string {
	if s.Restart == nil {
		return s.withheld("the site has no way to stop and start its sandbox")
	}
	return ""
}

// playRestart restarts the sandbox with the canaries up, dials them by its first command, and repeats what was asked before.
func playRestart(ctx context.Context, s *stage, wanted []Probe) []Finding {
	window, life := among(wanted, "net.tcp.boot-window"), among(wanted, "life.restart")
	var before []Finding
	var err error
	if life != nil {
		if before, err = s.baseline(ctx); err != nil {
			return failing(wanted, uncomparable(err))
		}
	}
	r := newRig(s.site, s.opts.briefly())
	defer func() { _ = r.close() }()
	again := r.again(before)
	var items []item
	if window != nil {
		it := item{probe: *window}
		it.aims, it.absence = r.firstAims()
		items = append(items, it)
	}
	first, err := r.batch(items)
	if err != nil {
		return failing(wanted, err.Error())
	}
	first.between, first.patience = s.site.Restart, firstWithin
	first.run(ctx)
	found := first.findings(items)
	if life == nil {
		return found
	}
	if first.fault != "" {
		return append(found, failing([]Probe{*life}, first.fault)...)
	}
	return append(found, s.repeat(ctx, r, *life, before, again))
}

// briefly are o for what was asked before with all of its time and as often as it takes.
func (o Options) briefly() Options {
	o.Attempts, o.Silence, o.Serving = 1, min(o.Silence, repeatSilence), min(o.Serving, repeatServing)
	return o
}

// firstAims are dialled by the first command after a start, before anything else.
func (r *rig) firstAims() ([]aim, absence) {
	aims, none := gathered(r.anywhere()...)
	for i := range aims {
		aims[i].early = true
	}
	return aims, none
}

// baseline is what the critical and high probes of the network found before, those that mean something here. What the run did not ask
// anyway is asked now.
func (s *stage) baseline(ctx context.Context) ([]Finding, error) {
	var missing []Probe
	var found []Finding
	for _, p := range All() {
		if p.act != "" || p.Severity != Critical && p.Severity != High || !strings.HasPrefix(p.ID, "net.") {
			continue
		}
		if f, err := s.report.Finding(p.ID); err == nil {
			found = append(found, f)
		} else {
			missing = append(missing, p)
		}
	}
	if len(missing) > 0 {
		report, _, err := runBatch(ctx, s.site, s.opts, missing, nil)
		s.leaked(report.Findings)
		if err != nil {
			return nil, err
		}
		found = append(found, report.Findings...)
		s.looked = time.Now()
		s.report.Findings = append(s.report.Findings, report.Findings...) // nobody has to ask again
	}
	return slices.DeleteFunc(found, func(f Finding) bool { return f.Verdict == NotApplicable }), nil
}

// again are the probes of findings, to be asked once more.
func (r *rig) again(before []Finding) []item {
	var items []item
	for _, f := range before {
		p, err := Lookup(f.ID)
		if err != nil {
			continue // it was found by that id
		}
		it := item{probe: p}
		it.aims, it.absence = r.find(p)
		items = append(items, it)
	}
	return items
}

const (
	// repeats is how often what came to nothing is asked.
	repeats = 3
	// few is the part of all that may come to nothing for that: more are no canaries that were lost.
	few = 5
)

// repeat asks items, and compares. What is not known now and was before is asked again, with canaries of its own: one whose port or
// address somebody else has taken meanwhile proves nothing, nor does a control that failed half-way, while a leak is final.
func (s *stage) repeat(ctx context.Context, r *rig, p Probe, before []Finding, items []item) Finding {
	q := repetition{probe: p, before: before, kills: s.opts.Kills[p.ID], kit: s.opts.Kit}
	for range repeats {
		b, err := r.batch(items)
		if err != nil {
			return failing([]Probe{p}, err.Error())[0]
		}
		b.run(ctx)
		q.after = renewed(q.after, b.findings(items))
		open := slices.DeleteFunc(slices.Clone(before), func(f Finding) bool { return !q.open(f.ID) })
		if len(open) == 0 || len(open)*few > len(before) && len(open) > 1 || ctx.Err() != nil {
			break
		}
		r.renew()
		items = r.again(open)
	}
	return q.judge()
}

// renew takes the canaries down, so that others can be brought up.
func (r *rig) renew() {
	_ = r.close()
	*r = *newRig(r.site, r.opts)
}
