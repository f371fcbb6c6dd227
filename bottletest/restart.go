package bottletest

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// restartLimit bounds a stop and a start of the guest together. smolvm's own limit for a boot is 30 s.
const restartLimit = 90 * time.Second

// attachedTo is why nothing is changed about a bottle that somebody else launched.
const attachedTo = "somebody else launched this bottle, and it is theirs to stop or to put something beside"

// withheld is why this bottle's site has no hooks that change it, "" if it has them.
func (b *Bottle) withheld() string {
	if b.attached {
		return attachedTo
	}
	return ""
}

// restarter stops the guest and starts it again, nil where that is not this bottle's to do.
func (b *Bottle) restarter() func(context.Context) error {
	if b.attached {
		return nil
	}
	return b.restart
}

// restart goes on to its end where ctx ends meanwhile: the guest is to be as up afterwards as it was before.
func (b *Bottle) restart(ctx context.Context) error {
	begin := time.Now()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), restartLimit)
	defer cancel()
	client, name := b.engine.client, b.plan.Machine
	if err := errors.Join(client.Stop(ctx, name), client.Start(ctx, name)); err != nil {
		return fmt.Errorf("restarting %q: %w", name, err)
	}
	b.cfg.logf("%-18s %s", "guest restarted", time.Since(begin).Round(time.Millisecond))
	return nil
}
