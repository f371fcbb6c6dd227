package bundle

import (
	"context"
	"fmt"

	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/client"
)

// leaveNone takes a container that has not started off the network that is none, which an engine lets nobody have beside another.
func (c *Container) leaveNone(ctx context.Context) error {
	_, cli, err := connect(ctx)
	if err == nil {
		_, err = cli.NetworkDisconnect(ctx, network.NetworkNone, client.NetworkDisconnectOptions{Container: c.GetContainerID(), Force: true})
	}
	if err != nil {
		return fmt.Errorf("run bundle: an engine that does not put a container on a network later: %w", err)
	}
	return nil
}

// Join puts a bundle that is up on the network of WithLateNetwork, which is made by now, once, and returns when it is proven up
// there, as Run does.
func (c *Container) Join(ctx context.Context) error {
	_, cli, err := connect(ctx)
	if err == nil {
		_, err = toItsEnd(ctx, func(ctx context.Context) (client.NetworkConnectResult, error) {
			return cli.NetworkConnect(ctx, c.settings.network.Name, client.NetworkConnectOptions{
				Container: c.GetContainerID(), EndpointConfig: c.settings.endpoint(),
			})
		})
	}
	if err == nil {
		err = c.verify(ctx)
	}
	return c.failed(ctx, err)
}
