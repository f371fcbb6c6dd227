package bottletest

import (
	"errors"
	"fmt"
	"strings"
)

var (
	// ErrConfig says that the Config cannot be launched; nothing was created.
	ErrConfig = errors.New("bottletest: bad Config")
	// ErrNotIsolated says that the launch gate did not see the walls standing. The bottle is gone; the error holds the report.
	ErrNotIsolated = errors.New("bottletest: the bottle does not hold")
	// ErrUnavailable says that this host cannot run the bottle asked for: an engine is missing.
	ErrUnavailable = errors.New("bottletest: this host cannot launch the bottle")
	// ErrClosed is returned by every method of a Bottle after Close.
	ErrClosed = errors.New("bottletest: the bottle is closed")
)

// A LaunchError says at which step a launch failed and what was undone after it.
type LaunchError struct {
	// Step is the step that failed, such as "machine start".
	Step string
	// Undone are the undo steps that ran, in their order.
	Undone []string
	// Err is why it failed.
	Err error
	// Leftover is what could not be undone; nil if nothing is left. Sweep will try again.
	Leftover error
}

func (e *LaunchError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "bottletest: %s: %v", e.Step, e.Err)
	if len(e.Undone) > 0 {
		fmt.Fprintf(&b, "\nundone: %s", strings.Join(e.Undone, ", "))
	} else {
		b.WriteString("\nundone: nothing was left to undo")
	}
	if e.Leftover != nil {
		fmt.Fprintf(&b, "\nleft behind (bottle-probe sweep removes it): %v", e.Leftover)
	}
	return b.String()
}

// Unwrap returns Err.
func (e *LaunchError) Unwrap() error { return e.Err }
