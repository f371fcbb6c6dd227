package bottletest

import (
	"context"
	"errors"
	"fmt"
	"sync"
)

// An undo is the reverse of a launch: each step is pushed before its do can leave anything behind, and run undoes all of them
// once, last first. A fork undoes two independent branches side by side, as they were done.
type undo struct {
	mu    sync.Mutex
	steps []undoStep
	ran   []string
	once  sync.Once
	err   error
	// last runs after all steps, and only if they all succeeded: it forgets what could otherwise be tried again.
	last undoStep
}

type undoStep struct {
	name string
	do   func(context.Context) error
}

func (u *undo) push(name string, do func(context.Context) error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.steps = append(u.steps, undoStep{name, do})
}

// fork returns two stacks that run concurrently where the fork stands in u.
func (u *undo) fork() (left, right *undo) {
	left, right = new(undo), new(undo)
	u.push("", func(ctx context.Context) error {
		var wg sync.WaitGroup
		wg.Go(func() { _ = left.run(ctx) })
		wg.Go(func() { _ = right.run(ctx) })
		wg.Wait()
		for _, branch := range []*undo{left, right} {
			u.ran = append(u.ran, branch.ran...)
		}
		return errors.Join(left.err, right.err)
	})
	return left, right
}

// run undoes everything pushed, once; a further call waits for the first and returns what it returned.
func (u *undo) run(ctx context.Context) error {
	u.once.Do(func() {
		u.mu.Lock()
		defer u.mu.Unlock()
		var errs []error
		for i := len(u.steps) - 1; i >= 0; i-- {
			s := u.steps[i]
			if s.name == "" { // a fork: its branches name their own
				errs = append(errs, s.do(ctx))
				continue
			}
			u.ran = append(u.ran, s.name)
			if err := s.do(ctx); err != nil {
				errs = append(errs, fmt.Errorf("%s: %w", s.name, err))
			}
		}
		if u.err = errors.Join(errs...); u.err == nil && u.last.do != nil {
			u.ran = append(u.ran, u.last.name)
			u.err = u.last.do(ctx)
		}
	})
	return u.err
}
