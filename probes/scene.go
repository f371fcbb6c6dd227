package probes

import (
	"cmp"
	"context"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// A Probe with an act is a scene: one batch cannot answer it. It puts something beside the sandbox, or stops something of it, and then
// runs batches of its own. Scenes that are asked in the same situation share an act. What they find is judged as everything else is,
// by pure functions.

// An act is how the scenes of one situation are asked. It returns a finding for each of them, and leaves the sandbox as it was.
type act func(ctx context.Context, s *stage, wanted []Probe) []Finding

// acts are in the order in which they are played: what only looks comes first, and what stops the sandbox itself last.
var acts = []struct {
	name string
	act  act
}{
	{actPolicy, playPolicy},
	{actSidecar, playSidecar},
	{actSibling, playSibling},
	{actEmpty, playEmpty},
	{actTeardown, playTeardown},
	{actBeside, playBeside},
	{actHalt, playHalt},
	{actTime, playTime},
	{actPause, playPause},
	{actCopy, playCopies},
	{actRestart, playRestart},
}

// A stage is what the acts of one run have.
type stage struct {
	site     Site
	opts     Options
	report   Report    // of the ordinary batch, and of what scenes asked for comparison
	looked   time.Time // when the last of that was asked
	patterns []string
	leaks    []Finding // that nobody had asked about, seen for comparison
}

// leaked keeps the leaks among findings that are no report's yet: what was seen once is said, whoever asked.
func (s *stage) leaked(findings []Finding) {
	for _, f := range findings {
		if f.Verdict == Leak && !slices.ContainsFunc(s.leaks, func(l Finding) bool { return l.ID == f.ID }) {
			s.leaks = append(s.leaks, f)
		}
	}
}

// play plays the scenes among the selected probes, and reports whether any was.
func (s *stage) play(ctx context.Context, selected []Probe) (all []Finding, played bool) {
	for _, a := range acts {
		var wanted []Probe
		for _, p := range selected {
			if p.act != a.name {
				continue
			}
			if why := s.hindrance(p); why != "" {
				all = append(all, absent(p, absence{why: why}))
				continue
			}
			wanted = append(wanted, p)
		}
		if len(wanted) == 0 {
			continue
		}
		if ctx.Err() != nil {
			all = append(all, failing(wanted, "the run was ended before")...)
			continue
		}
		played = true
		all = append(all, a.act(ctx, s, wanted)...)
	}
	return all, played
}

// hindrance is why a scene is not played, "" if nothing hinders it.
func (s *stage) hindrance(p Probe) string {
	if !s.opts.Scenes && !s.asked(p) {
		return "it stops a part of the sandbox, or puts others beside it, and the run was not told that it may (Options.Scenes)"
	}
	if p.lacks != nil {
		return p.lacks(s.site)
	}
	return ""
}

// asked reports whether p was asked for by its id.
func (s *stage) asked(p Probe) bool { return slices.Contains(s.patterns, p.ID) }

// blank is a finding of p with nothing in it yet.
func blank(p Probe) Finding { return Finding{ID: p.ID, Severity: p.Severity, Expect: p.Expect} }

// absent is the finding of a probe that means nothing here.
func absent(p Probe, why absence) Finding { return judge(question{probe: p, absence: why}) }

// failing are the findings of scenes that could not be asked: nothing is known.
func failing(wanted []Probe, why string) []Finding {
	var all []Finding
	for _, p := range wanted {
		f := blank(p)
		f.Verdict, f.Reason = Error, why
		all = append(all, f)
	}
	return all
}

// among is the probe of that id in wanted, nil if it is not.
func among(wanted []Probe, id string) *Probe {
	i := slices.IndexFunc(wanted, func(p Probe) bool { return p.ID == id })
	if i < 0 {
		return nil
	}
	return &wanted[i]
}

func byID(a, b Finding) int { return cmp.Compare(a.ID, b.ID) }

// anywhere are the host's loopback, an address of the host's and one of the internet: what a scene dials to see whether there is a wall.
func (r *rig) anywhere() []func() ([]aim, absence) {
	return []func() ([]aim, absence){
		func() ([]aim, absence) { return r.loopbackAims(netip.AddrFrom4([4]byte{127, 0, 0, 1})) },
		func() ([]aim, absence) { return r.firstHost(nil) },
		func() ([]aim, absence) { return r.worldAims(nil, "8.8.8.8:443") },
	}
}

// gathered are the aims of all finds, and what is to be said of those that found none: a part that was not tried is not passed over.
func gathered(finds ...func() ([]aim, absence)) ([]aim, absence) {
	var aims []aim
	var untried []string
	for _, find := range finds {
		found, none := find()
		aims = append(aims, found...)
		for _, why := range []string{none.why, none.besides} {
			if why != "" {
				untried = append(untried, why)
			}
		}
	}
	if len(untried) == 0 {
		return aims, absence{}
	}
	return aims, absence{besides: "not all of it was tried: " + strings.Join(untried, "; ")}
}
