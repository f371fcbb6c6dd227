package probes

import (
	"context"
	"errors"
)

const (
	actEmpty       = "empty-allowlist"
	emptyAllowlist = "policy.empty-allowlist"
)

// ErrRefused says that another sandbox was not made, because what was asked for is refused: there is nothing to probe, and nothing open.
var ErrRefused = errors.New("the launch is refused")

// emptyProbes are asked in a sandbox of their own.
var emptyProbes = []Probe{
	{
		ID: emptyAllowlist, Family: "policy", Severity: Critical, Expect: Contain, act: actEmpty, lacks: peerless, most: L4,
		What: "Launch another sandbox with an allowlist that is there and empty; in it dial the host's loopback, an address of the host's, one of the internet, and what this sandbox is allowed.",
		Why:  "A list that is computed may come out empty. To a program that takes an empty list for none it opens everything.",
		Control: "This sandbox, which is up beside it on the same engine, has a nonce proved by its allowed destination before and after; the canaries are dialled where they are and see no nonce; " +
			"the twin, if there is one, reaches them.",
		Remedy: "Refuse to launch with an empty list, or name an address that nobody has.",
		Source: "tidebreak#888; smolvm v1.9.3 network/launch.rs (the planner counts lists that are not empty)", Where: peerWhere + " A launch that is refused has nothing to probe: not applicable.",
	},
}

// playEmpty asks a sandbox that may reach nothing. That it has no path of its own is what it is about, so this one's is the control.
func playEmpty(ctx context.Context, s *stage, wanted []Probe) []Finding {
	before := s.path(ctx)
	p, err := s.site.Peer(ctx, PeerSpec{})
	switch {
	case errors.Is(err, ErrRefused):
		return []Finding{absent(wanted[0], absence{why: plainText(err.Error())})}
	case err != nil:
		return failing(wanted, "another sandbox could not be launched: "+plainText(err.Error()))
	}
	defer func() { _ = p.Close(context.WithoutCancel(ctx)) }()
	site := s.site
	site.Run, site.Denials, site.Allowed = p.Run, p.Denials, Target{}
	r := newRig(site, s.opts)
	defer func() { _ = r.close() }()
	it := item{probe: wanted[0]}
	it.aims, it.absence = r.emptyAims(s.site.Allowed)
	items := []item{it}
	b, err := r.batch(items)
	if err != nil {
		return failing(wanted, err.Error())
	}
	b.run(ctx)
	b.isolation = besidePath(before, s.path(ctx))
	return b.findings(items)
}

// besidePath is control C2 of a sandbox that may reach nothing: that of the one beside it.
func besidePath(before, after outcome) outcome {
	for _, o := range []outcome{before, after} {
		if o.State != Held {
			return failed("the sandbox beside it: %s", o.Text)
		}
	}
	return held("the engine carries what is allowed: the sandbox beside it was asked before and after, and %s", after.Text)
}

func (r *rig) emptyAims(allowed Target) ([]aim, absence) {
	aims, none := gathered(r.anywhere()...)
	return append(aims, aim{addr: allowed.Addr, wall: policyWall, post: &post{Target: allowed}}), none
}
