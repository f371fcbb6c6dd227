package probes

import (
	"context"
	"errors"
	"time"
)

const (
	actTime  = "time"
	actCopy  = "copy"
	actPause = "pause"

	lifeTime     = "life.time"
	lifePack     = "life.pack"
	lifePause    = "life.pause"
	lifeSnapshot = "life.snapshot"

	// defaultLater is longer than what a launch or a batch keeps warm, and short enough to wait for.
	defaultLater = 9 * time.Second
	// pausedFor is how long a sandbox stays paused: longer than a round of attempts.
	pausedFor = time.Second
)

// laterProbes ask again what was asked before: later, in a copy, after a rest.
var laterProbes = []Probe{
	lifeRow(lifeTime, actTime, nil,
		"Wait until some seconds have gone by since they were first asked, and repeat every critical and high probe of the network that meant something then.",
		"A policy kept in a table with a time of its own, or brought up to date by something that has died, is there when it is looked at first and not when it is needed.",
		"Look at what the engine refreshes, and what becomes of the policy when that does not come.",
		"network-policy-api#273 (windows without a policy); prior art: nobody looks twice", "Everywhere, where scenes may be played. It is one look after seconds (Options.Later), and says nothing of hours."),
	lifeRow(lifePack, actCopy, func(s Site) string {
		return s.without(lifePack, s.Pack != nil, "the site has no way to make a sandbox from a pack of its own")
	},
		"Make a pack of the sandbox and another sandbox from that, with the same policy, and repeat in it every critical and high probe of the network that meant something before.",
		"What an image is made from and what is enforced on it travel by different roads: smolvm dropped the policy of every machine made from a pack, without a word, up to 1.7.7.",
		"Use smolvm 1.8.0 or newer, or make the machine by its API; and look at the policy that is in force, not at the one that was asked for.",
		"smolvm#1212; smolvm v0.8.0 run_from_smolmachine (allowed_cidrs: None)", "Where the engine makes packs, and the sandbox may be stopped for one: not one that somebody else launched."),
	lifeRow(lifePause, actPause, func(s Site) string {
		return s.without(lifePause, s.Pause != nil, "the site has no way to pause its sandbox")
	},
		"Pause the sandbox, have it go on, and repeat every critical and high probe of the network that meant something before.",
		"Time stands still for a guest that is paused and not for who enforces: leases run out, and connections are given up on one side.",
		"Have the policy enforced by something that is paused with the guest, or not at all.",
		"E2B (egress after resume)", "Where the engine pauses sandboxes. smolvm up to 1.9.3 has no command for it: not applicable."),
	lifeRow(lifeSnapshot, actCopy, func(s Site) string {
		return s.without(lifeSnapshot, s.Snapshot != nil, "the site has no way to copy its sandbox as it runs")
	},
		"Make another sandbox from the memory of this one as it runs, and repeat in it every critical and high probe of the network that meant something before.",
		"A copy has its own address and its own entry in whatever enforces, and somebody has to have made it.",
		"Apply the policy to the copy before it runs.",
		"E2B (resumed snapshots); smolvm 1.3.0 (forks)", "Where the engine copies sandboxes as they run. smolvm does from 1.3.0, of a machine that was started to be forked, and a bottle's is not: not applicable."),
}

func lifeRow(id, act string, lacks func(Site) string, what, why, remedy, source, where string) Probe {
	return Probe{
		ID: id, Family: "life", Severity: Critical, Expect: Contain, act: act, lacks: lacks, What: what, Why: why,
		Control: repeatControl,
		Remedy:  remedy, Source: source, Where: where,
	}
}

// without is why the scene called id means nothing here, "" if the site has the hook that it needs.
func (s Site) without(id string, has bool, why string) string {
	switch {
	case has:
		return ""
	case s.Lacking[id] != "":
		return s.Lacking[id]
	}
	return s.withheld(why)
}

// playTime waits until it is later.
func playTime(ctx context.Context, s *stage, wanted []Probe) []Finding {
	before, err := s.baseline(ctx)
	if err != nil {
		return failing(wanted, uncomparable(err))
	}
	select {
	case <-ctx.Done():
	case <-time.After(time.Until(s.looked.Add(s.opts.Later))):
	}
	return []Finding{s.again(ctx, s.site, wanted[0], before)}
}

// playPause pauses the sandbox for a while.
func playPause(ctx context.Context, s *stage, wanted []Probe) []Finding {
	before, err := s.baseline(ctx)
	if err != nil {
		return failing(wanted, uncomparable(err))
	}
	h, err := s.site.Pause(ctx)
	if err != nil {
		return failing(wanted, "the sandbox could not be paused: "+plainText(err.Error()))
	}
	select {
	case <-ctx.Done():
	case <-time.After(pausedFor):
	}
	if err := h.Resume(context.WithoutCancel(ctx)); err != nil {
		return failing(wanted, "the sandbox does not go on: "+plainText(err.Error()))
	}
	return []Finding{s.again(ctx, s.site, wanted[0], before)}
}

// playCopies asks sandboxes that are made of this one.
func playCopies(ctx context.Context, s *stage, wanted []Probe) []Finding {
	before, err := s.baseline(ctx)
	if err != nil {
		return failing(wanted, uncomparable(err))
	}
	var all []Finding
	for _, p := range wanted {
		made := s.site.Pack
		if p.ID == lifeSnapshot {
			made = s.site.Snapshot
		}
		all = append(all, s.inCopy(ctx, p, made, before))
	}
	return all
}

// inCopy repeats in what from makes.
func (s *stage) inCopy(ctx context.Context, p Probe, from func(context.Context) (*Peer, error), before []Finding) Finding {
	c, err := from(ctx)
	switch {
	case errors.Is(err, ErrRefused):
		return absent(p, absence{why: plainText(err.Error())})
	case err != nil:
		return failing([]Probe{p}, "no copy could be made: "+plainText(err.Error()))[0]
	}
	site := s.site
	site.Run, site.Denials = c.Run, c.Denials
	f := s.again(ctx, site, p, before)
	if err := c.Close(context.WithoutCancel(ctx)); err != nil {
		f.Warnings = append(f.Warnings, "the copy was not taken down: "+plainText(err.Error()))
	}
	return f
}

// again asks site what was asked before, and compares.
func (s *stage) again(ctx context.Context, site Site, p Probe, before []Finding) Finding {
	r := newRig(site, s.opts.briefly())
	defer func() { _ = r.close() }()
	return s.repeat(ctx, r, p, before, r.again(before))
}

func uncomparable(err error) string {
	return "what it is to be compared with could not be asked: " + plainText(err.Error())
}
