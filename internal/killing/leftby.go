package killing

import (
	"context"
	"errors"
	"os"
	"slices"

	"bottle.internal/bottletest"
	"bottle.internal/probes/mutants"
)

// leavesData is the simulator's fault by which deleted machines leave their directories.
const leavesData = "delete-leaves-data"

// leftBy removes what the machines of b leave when they are gone, where e has them leave it.
func leftBy(ctx context.Context, e mutants.Edit, b *bottletest.Bottle) func() error {
	if !slices.Contains(e.Faults, leavesData) {
		return func() error { return nil }
	}
	var dirs []string
	var errs []error
	for _, suffix := range []string{"", "-peer"} {
		dir, err := b.Client().DataDir(ctx, b.Plan().Machine+suffix)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		dirs = append(dirs, dir)
	}
	return func() error {
		for _, dir := range dirs {
			errs = append(errs, os.RemoveAll(dir))
		}
		return errors.Join(errs...)
	}
}
