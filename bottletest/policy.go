package bottletest

import (
	"context"
	"fmt"
	"slices"

	"bottle.internal/smolvm"
)

// checkPolicy refuses to start a machine of which it is not known that smolvm took the allowlist. That it holds is for the launch gate to
// see: this is what was asked for and how that is known, by the flag or by the API's record of it.
func (l *launch) checkPolicy(ctx context.Context) error {
	p, err := l.engine.client.EffectivePolicy(ctx, l.plan.Machine)
	if err != nil {
		return err
	}
	if p.How == smolvm.Unknown || !slices.Equal(p.Network.AllowCIDRs, l.plan.Allow) {
		return fmt.Errorf("%w: the allowlist is to be %v, and what is known is: %s", smolvm.ErrPolicy, l.plan.Allow, p)
	}
	l.policy = p
	return nil
}
