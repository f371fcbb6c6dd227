package smolvm

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
)

// Stop shuts the machine down. One that is not running, and one that is not there, is a success.
func (c *Client) Stop(ctx context.Context, name string) error {
	if err := checkName(name); err != nil {
		return err
	}
	c.setPrimed(name, false)
	_, err := c.run(ctx, call{argv: stopArgs(name), limit: stopLimit, apart: true})
	return unlessGone(err)
}

// Delete removes the machine with all it holds, and stops it first where this release would not. One that is not there is a
// success. Below 1.7.2, where smolvm hides a failure to remove, the list of machines and its directory are looked at afterwards; ErrState if
// it is still in one of them.
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
	dir, dirErr := "", error(nil)
	if !v.has(deleteConfirms) {
		dir, dirErr = c.DataDir(ctx, name)
	}
	out, err := c.run(ctx, call{argv: deleteArgs(v, name), limit: deleteLimit, apart: true})
	switch {
	case unlessGone(err) != nil:
		return err
	case err == nil && !v.has(deleteConfirms):
		if err := c.confirmGone(ctx, name, dir, out); err != nil {
			return err
		}
		if dirErr != nil {
			return fmt.Errorf("%q is deleted; making sure: %w", name, dirErr)
		}
	}
	c.forget(name)
	return nil
}

// confirmGone looks for the machine in the list, and for its directory dir, "" if nobody knows where that was. It does not ask for the
// status, which would make a directory for a machine that is not there.
func (c *Client) confirmGone(ctx context.Context, name, dir string, deleted outcome) error {
	left, err := c.List(ctx)
	if err != nil {
		return fmt.Errorf("%q is deleted; making sure: %w", name, err)
	}
	if slices.ContainsFunc(left, func(m Machine) bool { return m.Name == name }) {
		return deleted.failure(fmt.Errorf("%w: deleted, and still listed", ErrState))
	}
	if _, err := os.Lstat(dir); dir != "" && !errors.Is(err, fs.ErrNotExist) {
		return deleted.failure(errors.Join(fmt.Errorf("%w: deleted, and %q is still there", ErrState, dir), err))
	}
	return nil
}

func unlessGone(err error) error {
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	return err
}
