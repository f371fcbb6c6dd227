package smolvm

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// errLocked: the database was locked. Up to v1.7.5 an update fails at once when two processes meet, and v1.7.5 and older set the busy
// timeout only after the first statement that can meet a lock; nothing was done then, and trying again is all there is.
var errLocked = fmt.Errorf("%w: its database is locked", ErrBusy)

const (
	lockedTries = 5
	lockedPause = 50 * time.Millisecond // before the second try; doubled for each other one, with jitter
)

// again calls do until it does not meet a locked database, lockedTries times at most.
func (c *Client) again(ctx context.Context, what string, do func() error) error {
	pause := lockedPause
	for try := 1; ; try++ {
		err := do()
		if !errors.Is(err, errLocked) || try == lockedTries || !pauseFor(ctx, jitter(pause)) {
			return err
		}
		c.logf("%s: once more after %s", what, errLocked)
		pause *= 2
	}
}
