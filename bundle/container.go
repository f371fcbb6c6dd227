package bundle

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/pkg/stdcopy"
	"github.com/moby/moby/client"

	"bottle.internal/bundle/internal/wire"
	"bottle.internal/internal/echo"
)

// A Listener is one socket that waits for peers in the bundle's network namespace, as `bottle-bundle listeners` saw it. Docker's
// own resolver (127.0.0.11, no PID) is among them on a network made by NewNetwork.
type Listener = wire.Listener

// Addr is the container's address: the pinned one, or what the engine chose.
func (c *Container) Addr() netip.Addr { return c.addr }

// Daemons are the names given to WithDaemons.
func (c *Container) Daemons() []string { return slices.Clone(c.settings.daemons) }

// Secret verifies the proofs in the echoes of this bundle's daemons and canaries. It must never reach a guest.
func (c *Container) Secret() echo.Secret { return c.settings.secret }

// Listeners is what listens in the container now.
func (c *Container) Listeners(ctx context.Context) ([]Listener, error) {
	out, err := c.exec(ctx, program, "listeners", "-o", "json")
	if err != nil {
		return nil, err
	}
	var ls []Listener
	if err := json.Unmarshal(out, &ls); err != nil {
		return nil, fmt.Errorf("reading the listeners: %w", err)
	}
	return ls, nil
}

// Echo dials addr from inside the container and has n echoed. Whose echo it was, the holder of the canary's secret can tell.
// An error means that nothing echoed, or that the container could not be asked; ctx or 2 s bound it.
func (c *Container) Echo(ctx context.Context, addr netip.AddrPort, n echo.Nonce) (echo.Reply, error) {
	out, err := c.exec(ctx, program, "dial", addr.String(), string(n))
	if err != nil {
		return echo.Reply{}, err
	}
	return echo.ParseResponse(out)
}

// log is all that PID 1 has logged.
func (c *Container) log(ctx context.Context) ([]byte, error) {
	_, cli, err := connect(ctx)
	if err != nil {
		return nil, err
	}
	r, err := cli.ContainerLogs(ctx, c.GetContainerID(), client.ContainerLogsOptions{ShowStdout: true, ShowStderr: true})
	if err != nil {
		return nil, fmt.Errorf("reading the bundle's log: %w", err)
	}
	defer r.Close()
	var buf bytes.Buffer
	if _, err := stdcopy.StdCopy(&buf, &buf, r); err != nil {
		return nil, fmt.Errorf("reading the bundle's log: %w", err)
	}
	return buf.Bytes(), nil
}

// Remove kills the container and removes it. One that is gone, or a nil Container, is nil. It does not wait for the daemons
// to end well: nothing of theirs outlives the container.
func (c *Container) Remove(ctx context.Context) error {
	if c == nil || c.Container == nil {
		return nil
	}
	_, cli, err := connect(ctx)
	if err == nil {
		// One request: Terminate would stop it first, and ask how that went.
		_, err = cli.ContainerRemove(ctx, c.GetContainerID(), client.ContainerRemoveOptions{Force: true, RemoveVolumes: true})
	}
	if err == nil || errdefs.IsNotFound(err) {
		return nil
	}
	if beingRemoved(err) {
		err = c.awaitGone(ctx)
	}
	if err != nil {
		return fmt.Errorf("removing container %.12s: %w", c.GetContainerID(), err)
	}
	return nil
}

// Leave takes the container off n, running or not. One that is not on n is an error.
func (c *Container) Leave(ctx context.Context, n *Network) error {
	_, cli, err := connect(ctx)
	if err == nil {
		_, err = cli.NetworkDisconnect(ctx, n.ID, client.NetworkDisconnectOptions{Container: c.GetContainerID(), Force: true})
	}
	if err != nil {
		return fmt.Errorf("taking container %.12s off network %q: %w", c.GetContainerID(), n.Name, err)
	}
	return nil
}

// RemoveWith is Remove and n.Remove side by side: of a container that has left n, the engine takes the bridge down while it kills the
// container. Of one that has not, the network goes after it.
func (c *Container) RemoveWith(ctx context.Context, n *Network) error {
	removal := make(chan error, 1)
	go func() { removal <- n.Remove(ctx) }()
	err := c.Remove(ctx)
	if <-removal != nil {
		return errors.Join(err, n.Remove(ctx)) // now that nothing can be on it
	}
	return err
}

// beingRemoved tells a removal that somebody else has begun.
func beingRemoved(err error) bool { return strings.Contains(err.Error(), "is already in progress") }

// awaitGone waits for somebody else's removal.
func (c *Container) awaitGone(ctx context.Context) error {
	_, cli, err := connect(ctx)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, upWithin)
	defer cancel()
	for {
		_, err := cli.ContainerInspect(ctx, c.GetContainerID(), client.ContainerInspectOptions{})
		if errdefs.IsNotFound(err) {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting for a removal that is in progress: %w", context.Cause(ctx))
		case <-time.After(upPoll):
		}
	}
}
