package bottletest

import (
	"context"
	"errors"
	"fmt"
	"os"

	"bottle.internal/bundle"
	"bottle.internal/internal/gobuild"
	"bottle.internal/internal/owner"
	"bottle.internal/smolvm"
)

// Sweep removes what killed runs of this user left: machines, containers, networks and records whose owner is dead. It never
// touches what a living process owns, nor anything that the kit did not make. It returns what it removed, such as
// "machine bottle-test-x1", and what it could not remove as an error; it goes on after a failure. Without a container engine it
// sweeps machines only and says so.
func Sweep(ctx context.Context) (removed []string, err error) {
	var errs []error
	all, err := records()
	if err != nil {
		errs = append(errs, err)
	}
	dead := func(id string) bool { return !owner.Alive(owner.ID(id)) }
	for _, r := range all {
		if !dead(string(r.Owner)) {
			continue
		}
		if err := sweepMachine(ctx, r); err != nil {
			errs = append(errs, fmt.Errorf("machine %q: %w", resourceName(r.Slug), err))
			continue
		}
		removed = append(removed, "machine "+resourceName(r.Slug))
	}
	engine, err := bundle.Detect(ctx)
	if err != nil {
		return removed, errors.Join(append(errs, fmt.Errorf("containers and networks were not swept: %w", err))...)
	}
	engine.Configure()
	rest, err := bundle.Sweep(ctx, dead)
	return append(removed, rest...), errors.Join(append(errs, err)...)
}

// sweepMachine removes a dead run's machine with the smolvm that made it, then the record. The simulator's binary lives in a
// cache; where that was emptied meanwhile, the present one speaks for it.
func sweepMachine(ctx context.Context, r record) error {
	path := r.Path
	if _, err := os.Stat(path); err != nil && r.Engine == Simulator {
		if path, err = gobuild.Binary(ctx, gobuild.Target{Command: "smolvm-sim"}); err != nil {
			return err
		}
	}
	client := &smolvm.Client{Path: path, Env: r.Env}
	name := resourceName(r.Slug)
	if err := errors.Join(client.Stop(ctx, name), client.Delete(ctx, name)); err != nil {
		return err
	}
	if r.World != "" {
		if err := os.RemoveAll(r.World); err != nil {
			return err
		}
	}
	return r.remove()
}
