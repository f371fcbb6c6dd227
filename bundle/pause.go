package bundle

import (
	"context"
	"fmt"

	"github.com/moby/moby/client"
)

// Pause freezes every process in the container, until Unpause. Its addresses stay, and what is said to it waits.
func (c *Container) Pause(ctx context.Context) error {
	_, cli, err := connect(ctx)
	if err == nil {
		_, err = cli.ContainerPause(ctx, c.GetContainerID(), client.ContainerPauseOptions{})
	}
	if err == nil {
		err = c.frozen(ctx)
	}
	if err != nil {
		return fmt.Errorf("pausing the bundle: %w", err)
	}
	return nil
}

// frozen is an error unless the engine says that the container is paused.
func (c *Container) frozen(ctx context.Context) error {
	in, err := c.Inspect(ctx)
	if err != nil {
		return err
	}
	if in.State == nil || !in.State.Paused {
		return fmt.Errorf("the engine says that it runs: %+v", in.State)
	}
	return nil
}

// Unpause has the container go on, and returns when every daemon is proven up again, as Run does.
func (c *Container) Unpause(ctx context.Context) error {
	_, cli, err := connect(ctx)
	if err == nil {
		_, err = cli.ContainerUnpause(ctx, c.GetContainerID(), client.ContainerUnpauseOptions{})
	}
	if err == nil {
		err = c.prove(ctx)
	}
	if err != nil {
		return fmt.Errorf("having the bundle go on: %w", err)
	}
	return nil
}
