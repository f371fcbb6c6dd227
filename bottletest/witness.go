package bottletest

import (
	"context"
	"net/netip"
	"slices"
	"time"

	"bottle.internal/bundle"
	"bottle.internal/internal/echo"
	"bottle.internal/probes"
)

// denials is smolvm's own log of what the policy stopped, nil where this release keeps none (before 1.8.1).
func (b *Bottle) denials() func(context.Context, time.Time) ([]probes.Denial, error) {
	return b.denialsOf(b.plan.Machine)
}

func (b *Bottle) denialsOf(machine string) func(context.Context, time.Time) ([]probes.Denial, error) {
	if !b.engine.version.AtLeast(1, 8, 1) {
		return nil
	}
	return func(ctx context.Context, _ time.Time) ([]probes.Denial, error) {
		all, err := b.engine.client.Denials(ctx, machine)
		if err != nil {
			return nil, err
		}
		var out []probes.Denial
		for _, d := range all {
			out = append(out, probes.Denial{Time: d.Time, Op: d.Operation, Dest: d.Destination})
		}
		return out, nil
	}
}

// refusals is the bundle's own log of what its daemons refused.
func (b *Bottle) refusals(ctx context.Context, _ time.Time) ([]probes.Denial, error) {
	log, err := b.side.logs(ctx)
	if err != nil {
		return nil, err
	}
	var out []probes.Denial
	for _, r := range bundle.ParseRefusals(log) {
		d := probes.Denial{Time: r.Time, Op: r.Daemon + " " + r.Method, Dest: r.Target, Rule: r.Rule}
		for _, n := range r.Nonces {
			d.Nonces = append(d.Nonces, echo.Nonce(n))
		}
		out = append(out, d)
	}
	return out, nil
}

// proxySite is the bundle's proxy as a prober asks it, nil if it was not started. The host's address nearest to a container is its
// network's gateway; what a bundle that is a machine can reach of this host differs by backend, and no address is named for it.
func (b *Bottle) proxySite() *probes.Proxy {
	if !slices.Contains(b.plan.Daemons, "proxy") || b.cfg.BundleImage != "" {
		return nil
	}
	p := &probes.Proxy{
		Addr: b.plan.At(proxyPort), Origin: b.plan.Origin.site(), Refusal: "bottle: denied",
		Dial: func(ctx context.Context, at netip.AddrPort, n echo.Nonce) (echo.Reply, error) {
			return b.side.echo(ctx, at, n)
		},
	}
	if !b.attached {
		p.Halt = b.side.halt
	}
	if b.plan.Runtime == Container {
		p.Near = b.plan.Gateway
	}
	if slices.Contains(b.plan.Daemons, "egress") {
		p.Own = probes.Target{
			Name: "bundle egress", Addr: egressInside, Secret: b.secret,
			Alive:     func(ctx context.Context) error { return b.BundleEcho(ctx, egressInside) },
			Sightings: b.side.sightings,
		}
	}
	return p
}
