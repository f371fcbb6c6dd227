package bottletest

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"bottle.internal/internal/control"
	"bottle.internal/internal/gobuild"
	"bottle.internal/probes"
	"bottle.internal/smolvm"
)

// Attach returns the bottle whose machine is called name and which is up, for probing it ad hoc: one that Config.Keep left
// standing, or that another process runs. Closing it ends nothing but the attachment. cfg says which engine knows the machine.
//
// A machine that is not a bottle of this kit has no bundle: whether its network works is shown by an address of this host that it reaches.
// Where it reaches none its denials come out inconclusive; its leaks are leaks in any case.
func Attach(ctx context.Context, cfg Config, name string) (*Bottle, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	engine, err := findEngine(ctx, cfg)
	if err != nil {
		return nil, err
	}
	m, err := engine.client.Status(ctx, name)
	if err != nil {
		return nil, fmt.Errorf("bottletest: machine %q: %w", name, err)
	}
	if m.State != smolvm.StateRunning {
		return nil, fmt.Errorf("bottletest: machine %q is %s, not %s", name, m.State, smolvm.StateRunning)
	}
	b := &Bottle{cfg: cfg, engine: engine, journal: &journal{next: cfg.Logf}, undo: new(undo), attached: true}
	b.plan = Plan{
		Machine: name, Slug: strings.TrimPrefix(name, resourceName("")), Engine: "smolvm " + engine.version.String(),
		Backend: engine.version.PolicyBackend(), Topology: Bridge, Runtime: Container,
	}
	if err := b.attachSidecar(ctx); err != nil {
		return nil, err
	}
	if b.agent = cfg.Agent; b.agent == "" {
		if b.agent, err = gobuild.Binary(ctx, gobuild.Target{Command: "bottle-agent", GOOS: "linux"}); err != nil {
			return nil, err
		}
	}
	return b, engine.client.CopyTo(ctx, name, b.agent, agentPath, 0o755)
}

// attachSidecar finds the bundle of the machine, if it is a bottle's. The record of a bottle of this user says what it was
// planned as; a container without one is found by its labels, at the address it has.
func (b *Bottle) attachSidecar(ctx context.Context) error {
	all, err := records()
	if err != nil {
		return err
	}
	for _, r := range all {
		if r.Plan != nil && r.Plan.Machine == b.plan.Machine {
			b.plan = *r.Plan
		}
	}
	if b.plan.Runtime == Machine {
		side := &machineSidecar{cfg: b.cfg}
		side.use(b.engine)
		if err := side.attach(ctx, b.plan.Machine); err != nil {
			return err
		}
		b.side, b.secret = side, side.secret
		return nil
	}
	return b.attachContainer(ctx)
}

func (b *Bottle) attachContainer(ctx context.Context) error {
	side := &containerSidecar{cfg: b.cfg}
	err := side.prepare(ctx)
	found := false
	if err == nil {
		found, err = side.attach(ctx, b.plan.Machine)
	}
	if err != nil && (b.plan.Bundle.IsValid() || !errors.Is(err, ErrUnavailable)) {
		return err
	}
	if !found {
		b.cfg.logf("%s has no bundle: it is no bottle of this kit, and its denials will be inconclusive", b.plan.Machine)
		return nil
	}
	b.side, b.secret = side, side.secret
	if !b.plan.Bundle.IsValid() {
		b.plan.Bundle, b.plan.Inside, b.plan.Daemons = side.ctr.Addr(), side.ctr.Addr(), side.ctr.Daemons()
	}
	return nil
}

// withControl looks for an address of this host that a machine without a bundle reaches, for as long as do probes. Where it reaches none
// there is no positive control, and its denials show nothing.
func (b *Bottle) withControl(ctx context.Context, do func(probes.Site) (probes.Report, error)) (probes.Report, error) {
	site := b.bareSite()
	found, end, err := control.Search{Site: site, Passing: Gateways(), Logf: b.cfg.logf}.Find(ctx)
	defer end()
	if err != nil {
		return probes.Report{}, fmt.Errorf("bottletest: looking for an address that %q reaches: %w", b.plan.Machine, err)
	}
	site.Allowed = found
	return do(site)
}

// bareSite is a machine without a bundle: nobody has named an allowed path.
func (b *Bottle) bareSite() probes.Site {
	return probes.Site{
		Engine: "smolvm", Version: b.engine.version.String(), Simulated: b.engine.version.Simulated,
		Backend: string(b.plan.Backend), Topology: string(b.plan.Topology), Run: b.runAgent, HostLoopback: hostLoopback(b.plan.Backend),
		Passing: Gateways(), Declared: b.declared(), Withheld: b.withheld(),
	}
}
