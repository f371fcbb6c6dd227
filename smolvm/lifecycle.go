package smolvm

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// startGate lets one start through at a time where parallel ones get in each other's way. It is the process's, since the rootfs that
// they share belongs to the user and not to a Client; against other processes it does not help.
var startGate = make(chan struct{}, 1)

// Start boots the machine and returns when its agent answers. A machine that runs already is a success.
//
// ErrNotFound, ErrBoot (smolvm gives the guest 30 s), ErrBusy (another process is starting it), ErrNoHypervisor. Below 1.2.5 starts
// of this process wait for each other. When ctx ends, smolvm is interrupted, and releases below 1.5.0 can then leave a VM behind:
// Stop and Delete are still to be called.
func (c *Client) Start(ctx context.Context, name string) error {
	if err := checkName(name); err != nil {
		return err
	}
	v, err := c.release(ctx)
	if err != nil {
		return err
	}
	if !v.has(readyPerMachine) {
		select {
		case startGate <- struct{}{}:
			defer func() { <-startGate }()
		case <-ctx.Done():
			return fmt.Errorf("starting %q: waiting for another start: %w", name, over(ctx))
		}
	}
	_, err = c.run(ctx, call{argv: startArgs(name), env: floorEnv(v, c.policed(name)), limit: startLimit, apart: true})
	return err
}

// Stop shuts the machine down. One that is not running, and one that is not there, is a success.
func (c *Client) Stop(ctx context.Context, name string) error {
	if err := checkName(name); err != nil {
		return err
	}
	_, err := c.run(ctx, call{argv: stopArgs(name), limit: stopLimit, apart: true})
	return unlessGone(err)
}

// Delete removes the machine with all it holds, and stops it first where this release would not. One that is not there is a
// success. Below 1.7.2, where smolvm hides a failure to remove, the list of machines is asked afterwards; ErrState if it is still there.
func (c *Client) Delete(ctx context.Context, name string) error {
	if err := checkName(name); err != nil {
		return err
	}
	v, err := c.release(ctx)
	if err != nil {
		return err
	}
	if !v.has(deleteStops) {
		if err := c.Stop(ctx, name); err != nil {
			return err
		}
	}
	out, err := c.run(ctx, call{argv: deleteArgs(v, name), limit: deleteLimit, apart: true})
	if err != nil || v.has(deleteConfirms) {
		return unlessGone(err)
	}
	return c.confirmGone(ctx, name, out)
}

// confirmGone lists instead of asking for the status: that would make a directory for a machine that is not there.
func (c *Client) confirmGone(ctx context.Context, name string, deleted outcome) error {
	left, err := c.List(ctx)
	if err != nil {
		return fmt.Errorf("%q is deleted; making sure: %w", name, err)
	}
	if slices.ContainsFunc(left, func(m Machine) bool { return m.Name == name }) {
		return deleted.failure(fmt.Errorf("%w: deleted, and still listed", ErrState))
	}
	return nil
}

func unlessGone(err error) error {
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	return err
}
