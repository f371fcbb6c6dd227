package bottletest

import (
	"context"
	"errors"
	"fmt"
	"time"

	"bottle.internal/probes"
	"bottle.internal/smolvm"
)

// gateOptions keep the launch gate to a few milliseconds: what is refused is refused at once on both backends, and the worst
// of two attempts counts.
var gateOptions = probes.Options{Attempts: 2, Grace: 20 * time.Millisecond}

func (l *launch) bringAgent(ctx context.Context) error {
	return l.engine.client.CopyTo(ctx, l.plan.Machine, l.agent, agentPath, 0o755)
}

// passGate looks at the walls from inside before anybody else may be inside.
func (l *launch) passGate(ctx context.Context) error {
	rep, err := l.withCanary(ctx, func(site probes.Site) (probes.Report, error) {
		if err := l.reach(ctx, site.Allowed); err != nil {
			return probes.Report{}, err
		}
		return probes.Run(ctx, site, gateOptions, gateProbes...)
	})
	l.gate = rep
	if errors.Is(err, errNoBridge) {
		return err
	}
	if err == nil && rep.ExitCode() == 0 {
		l.policy.How = smolvm.KnownProbe
		l.plan.Policy = l.policy.String()
		return nil
	}
	if l.cfg.Ungated {
		l.cfg.logf("the launch gate did not pass; handed out all the same (Config.Ungated): %v", err)
		return nil
	}
	if err != nil {
		return fmt.Errorf("%w: the launch gate could not be judged: %w", ErrNotIsolated, err)
	}
	return fmt.Errorf("%w: %s\n%s", ErrNotIsolated, rep.Worst(), rep)
}
