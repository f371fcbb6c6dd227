package bottletest

import (
	"context"

	"bottle.internal/bundle"
	"bottle.internal/probes"
)

// confinement asks the container engine and the container what keeps the bundle in, nil where it is no container.
func (b *Bottle) confinement() func(context.Context) ([]probes.Confinement, error) {
	side, ok := b.side.(*containerSidecar)
	if !ok || b.cfg.BundleImage != "" {
		return nil
	}
	return func(ctx context.Context) ([]probes.Confinement, error) {
		record, err := side.ctr.Recorded(ctx)
		if err != nil {
			return nil, err
		}
		inside, err := side.ctr.Inside(ctx)
		if err != nil {
			return nil, err
		}
		return []probes.Confinement{witnessed("the engine's record", record), witnessed("the sidecar's kernel", inside)}, nil
	}
}

func witnessed(witness string, c bundle.Confinement) probes.Confinement {
	return probes.Confinement{
		Witness: witness, Root: c.Root, User: c.User, Capabilities: c.Capabilities, Escalates: !c.NoNewPrivileges, Unfiltered: !c.Filtered,
		Writable: !c.ReadOnlyRoot, Sockets: c.Sockets, Shared: c.Shared,
	}
}
