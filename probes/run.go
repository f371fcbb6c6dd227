package probes

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

var (
	// ErrSite says that a Site lacks what a run needs.
	ErrSite = errors.New("probes: the site cannot be probed")
	// ErrNothingRan says that not one probe was executed: all of them mean nothing at this site.
	ErrNothingRan = errors.New("probes: no probe was executed")
)

// Run runs the probes that Select finds for patterns, all if there are none, in one batch inside the site, then the scenes among them,
// and judges what came back. What it found, good or bad, is in the report, including that the agent failed or lied. An error means that
// there is nothing to rely on: no such probe, a site that cannot be probed, a context that ended, or no probe that means anything here;
// the report then holds what there is, and of scenes that were not played any more that they were not.
func Run(ctx context.Context, site Site, opts Options, patterns ...string) (Report, error) {
	selected, err := Select(patterns...)
	if err != nil {
		return Report{}, err
	}
	if site.Run == nil {
		return Report{}, fmt.Errorf("%w: it has no Run", ErrSite)
	}
	started := time.Now()
	opts = opts.withDefaults()
	report, ran, err := runBatch(ctx, site, opts, selected, patterns)
	if err != nil && ctx.Err() == nil {
		return report, err
	}
	s := &stage{site: site, opts: opts, report: report, looked: time.Now(), patterns: patterns}
	s.report.Findings = slices.Clone(report.Findings)
	found, played := s.play(ctx, selected)
	report.Findings = append(append(report.Findings, found...), s.leaks...)
	slices.SortFunc(report.Findings, byID)
	report.ElapsedMS = time.Since(started).Milliseconds()
	switch {
	case ctx.Err() != nil:
		return report, ended(ctx)
	case !ran && !played:
		return report, ErrNothingRan
	}
	return report, nil
}

func ended(ctx context.Context) error {
	return fmt.Errorf("probes: the run was ended: %w", context.Cause(ctx))
}

// runBatch asks what one batch can answer, and reports whether anything of it was executed.
func runBatch(ctx context.Context, site Site, opts Options, selected []Probe, patterns []string) (report Report, ran bool, err error) {
	r := newRig(site, opts)
	defer func() { _ = r.close() }()
	items := r.items(selected, patterns)
	report, err = r.run(ctx, items)
	if errors.Is(err, ErrNothingRan) {
		return report, false, nil
	}
	if err == nil {
		r.shrink(ctx, &report, items)
	}
	return report, true, err
}

// An item is one probe of a run with what it dials.
type item struct {
	probe   Probe
	asked   bool
	aims    []aim
	absence absence
}

// items are what those of the selected probes dial that are no scenes.
func (r *rig) items(selected []Probe, patterns []string) []item {
	var items []item
	for _, p := range selected {
		if p.act != "" {
			continue
		}
		it := item{probe: p, asked: slices.Contains(patterns, p.ID)}
		it.aims, it.absence = r.find(p)
		items = append(items, it)
	}
	return items
}

// find is what p dials here, or why it dials nothing.
func (r *rig) find(p Probe) ([]aim, absence) {
	if !p.On(r.site.Backend) {
		return nil, absence{why: fmt.Sprintf("it means something on %q only, and the backend is %q", p.Backends, r.site.Backend)}
	}
	aims, none := p.aims(r)
	if slices.ContainsFunc(aims, aim.alone) {
		return nil, absence{why: "it goes by way of the allowed destination, and there is none"}
	}
	if r.site.Borrowed != "" && slices.ContainsFunc(aims, aim.disturbs) {
		return nil, absence{why: "it would change the network of others, or reach them: the sandbox uses " + r.site.Borrowed}
	}
	return aims, none
}

func (r *rig) run(ctx context.Context, items []item) (Report, error) {
	b, err := r.batch(items)
	if err != nil {
		return Report{}, err
	}
	report := r.report()
	if len(b.plan.trials) > 0 {
		b.run(ctx)
		report.Guest = b.guest()
	}
	report.Findings = b.findings(items)
	report.ElapsedMS = time.Since(r.started).Milliseconds()
	if ctx.Err() != nil {
		return report, ended(ctx)
	}
	if len(b.plan.trials) == 0 {
		return report, ErrNothingRan
	}
	return report, nil
}

// batch plans what items ask.
func (r *rig) batch(items []item) (*batch, error) {
	if r.site.Run == nil {
		return nil, fmt.Errorf("%w: it has no Run", ErrSite)
	}
	p := newPlan(r, r.trialPlans(items))
	if err := p.request.Validate(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrSite, err)
	}
	return &batch{rig: r, plan: p}, nil
}

// findings judges every item.
func (b *batch) findings(items []item) []Finding {
	allowed := b.allowedSightings()
	var all []Finding
	for _, it := range items {
		all = append(all, judge(b.question(it, allowed)))
	}
	return all
}

func (r *rig) trialPlans(items []item) []*trialPlan {
	var all []*trialPlan
	for _, it := range items {
		for _, a := range it.aims {
			all = append(all, &trialPlan{probe: it.probe.ID, aim: a, path: a.post != nil && a.post == r.allowed})
		}
	}
	return all
}
