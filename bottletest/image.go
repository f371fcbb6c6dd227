package bottletest

import (
	"context"
	"time"

	"bottle.internal/smolvm"
)

// imageTimeout is what a launch gets besides where it may have to make a pack first: smolvm boots a guest for it, and gives each pull 600 s.
const imageTimeout = 20 * time.Minute

// launchLimit bounds a launch whose context has no deadline.
func (c Config) launchLimit() time.Duration {
	if c.Image == "" {
		return launchTimeout
	}
	return launchTimeout + imageTimeout
}

// prepareImage has the guest's image ready, and keeps it from being pruned until the machine is gone.
func (l *launch) prepareImage(ctx context.Context) error {
	if l.cfg.Image == "" {
		return nil
	}
	return l.step(ctx, "image", func(ctx context.Context) error {
		cache, err := newPackCache(l.cfg.Logf)
		if err != nil {
			return err
		}
		l.undo.push("image", func(context.Context) error { return l.image.Close() })
		l.image, err = prepareImage(ctx, l.cfg, l.engine, cache)
		return err
	})
}

// bootFrom sets what the machine boots. A registry's image is never left to the machine's first start, where it would be pulled: the
// guest's policy does not let it reach a registry.
func (p Prepared) bootFrom(o *smolvm.CreateOptions) {
	if p.Road == RoadDirect {
		o.Image = p.Boot
		return
	}
	o.From = p.Boot
}
