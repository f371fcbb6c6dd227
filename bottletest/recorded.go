package bottletest

import (
	"context"

	"bottle.internal/probes"
)

// recorded is smolvm's own record of the guest's policy. Who launched the bottle does not matter: nothing is changed.
func (b *Bottle) recorded(ctx context.Context) (probes.PolicyRecord, error) {
	r, err := b.engine.client.Recorded(ctx, b.plan.Machine)
	if err != nil {
		return probes.PolicyRecord{}, err
	}
	return probes.PolicyRecord{
		Witness: "the record of smolvm " + b.engine.version.String(), Backend: string(r.Backend), Allow: r.AllowCIDRs, Told: r.Told,
	}, nil
}
