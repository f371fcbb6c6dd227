package bottletest

import (
	"context"

	"golang.org/x/sync/errgroup"
)

// bundle has the engine make the network and the container side by side, and where it can start the container as well: that has no use
// for the network before somebody wants something of it. networked is called when there is one. The guest waits for that, though it could
// do without: its boot has the container's start to hide behind, and two processors are busy until then.
func (l *launch) bundle(ctx context.Context, undo *undo, networked func()) error {
	both, branch := errgroup.WithContext(ctx)
	if l.runtime == Container {
		undo.push("network", l.side.removeNetwork)
		both.Go(func() error {
			err := l.step(branch, "network", l.side.createNetwork)
			if err == nil {
				networked()
			}
			return err
		})
	} else {
		networked()
	}
	undo.push("bundle", l.side.remove)
	both.Go(func() error {
		return l.step(branch, "bundle create", func(ctx context.Context) error { return l.side.create(ctx, l.plan, l.labels) })
	})
	if err := both.Wait(); err != nil {
		return err
	}
	return l.step(ctx, "bundle", func(ctx context.Context) error { return l.side.start(ctx, l.plan, l.labels) })
}

// leave takes the bundle off its network before anything is removed: a guest that ends meanwhile takes a network of its own down, and
// has the kernel make the engine wait for that. Where it does not succeed, the network is removed after the bundle.
func (l *launch) leave(ctx context.Context) error {
	if err := l.side.leave(ctx); err != nil {
		l.cfg.logf("the bundle stays on its network until it is removed: %v", err)
	}
	return nil
}
