package bundle

import (
	"context"
	"errors"
	"fmt"

	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/client"
)

// ErrLate says that the engine puts no container on a network that was begun on none.
var ErrLate = errors.New("the engine puts no container on a network later")

// leaveNone takes a container that has not started off the network that is none, which an engine lets nobody have beside another.
func (c *Container) leaveNone(ctx context.Context) error {
	_, cli, err := connect(ctx)
	if err == nil {
		_, err = cli.NetworkDisconnect(ctx, network.NetworkNone, client.NetworkDisconnectOptions{Container: c.GetContainerID(), Force: true})
	}
	if err != nil {
		return fmt.Errorf("run bundle: %w: %w", ErrLate, err)
	}
	return nil
}

// Join puts a bundle that is up on the network of WithLateNetwork, which is made by now, once, and returns when it is proven up
// there, as Run does. The error is ErrLate where the engine does not put it there.
func (c *Container) Join(ctx context.Context) error {
	_, cli, err := connect(ctx)
	if err == nil {
		_, err = toItsEnd(ctx, func(ctx context.Context) (client.NetworkConnectResult, error) {
			return cli.NetworkConnect(ctx, c.settings.network.Name, client.NetworkConnectOptions{
				Container: c.GetContainerID(), EndpointConfig: c.settings.endpoint(),
			})
		})
	}
	switch {
	case err == nil:
		err = c.verify(ctx)
	case ctx.Err() == nil:
		err = fmt.Errorf("%w: %w", ErrLate, err)
	}
	return c.failed(ctx, err)
}
