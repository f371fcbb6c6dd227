package bottletest

import (
	"context"
	"errors"
	"fmt"
	"os"

	"bottle.internal/bundle"
	"bottle.internal/internal/gobuild"
	"bottle.internal/internal/owner"
	"bottle.internal/probes"
	"bottle.internal/smolvm"
)

// Sweep removes what killed runs of this user left: machines, host addresses, containers, networks, records and what probes planted,
// whose owner is dead. It never touches what a living process owns, nor anything that the kit did not make. It returns what it removed, such
// as "machine bottle-test-x1", and what it could not remove as an error; it goes on after a failure. Where no container engine
// answers, it is an error that a dead run had a container, whose record then stays, and none that nobody had.
func Sweep(ctx context.Context) (removed []string, err error) {
	var errs []error
	all, err := records()
	if err != nil {
		errs = append(errs, err)
	}
	removed, err = probes.SweepPlanted()
	errs = append(errs, err)
	dead := func(id string) bool { return !owner.Alive(owner.ID(id)) }
	engine, noEngine := bundle.Detect(ctx)
	for _, r := range all {
		if !dead(string(r.Owner)) {
			continue
		}
		gone, err := sweepBottle(ctx, r)
		removed = append(removed, gone...)
		if err == nil && noEngine != nil && r.Runtime != Machine {
			err = fmt.Errorf("its container and network were not swept: %w", noEngine)
		}
		if err == nil {
			err = r.remove()
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("bottle %q: %w", r.Slug, err))
		}
	}
	if noEngine != nil {
		return removed, errors.Join(errs...)
	}
	engine.Configure()
	rest, err := bundle.Sweep(ctx, dead)
	return append(removed, rest...), errors.Join(append(errs, err)...)
}

// sweepBottle removes a dead run's machines with the smolvm that made them, then its address and its world. The simulator's
// binary lives in a cache; where that was emptied meanwhile, the present one speaks for it.
func sweepBottle(ctx context.Context, r record) (removed []string, err error) {
	path := r.Path
	if _, err := os.Stat(path); err != nil && r.Engine == Simulator {
		if path, err = gobuild.Binary(ctx, gobuild.Target{Command: "smolvm-sim"}); err != nil {
			return nil, err
		}
	}
	client := &smolvm.Client{Path: path, Env: r.Env}
	names := []string{resourceName(r.Slug)}
	if r.Runtime == Machine {
		names = append(names, bundleMachine(names[0]))
	}
	if r.Twin {
		names = append(names, twinMachine(names[0]))
	}
	if r.Peer {
		names = append(names, peerMachine(names[0]))
	}
	for _, name := range names {
		if err := errors.Join(client.Stop(ctx, name), client.Delete(ctx, name)); err != nil {
			return removed, fmt.Errorf("machine %q: %w", name, err)
		}
		removed = append(removed, "machine "+name)
	}
	if r.Alias.Label != "" {
		if err := r.Alias.release(); err != nil {
			return removed, err
		}
		removed = append(removed, "address "+r.Alias.Addr.String())
	}
	if r.World == "" {
		return removed, nil
	}
	return removed, os.RemoveAll(r.World)
}
