package bundle

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/client"
	"github.com/testcontainers/testcontainers-go"

	"bottle.internal/bundle/internal/wire"
)

// ErrNoContainer says that no bundle runs under that name.
var ErrNoContainer = errors.New("no such bundle")

// DaemonNames are the daemons that the default image knows.
func DaemonNames() []string { return wire.Known() }

// Attach returns the running bundle whose container is called name, made by this or another process. The error is
// ErrNoContainer where there is none.
func Attach(ctx context.Context, name string) (*Container, error) {
	e, cli, err := connect(ctx)
	if err != nil {
		return nil, fmt.Errorf("attach to %q: %w", name, err)
	}
	found, err := cli.ContainerList(ctx, client.ContainerListOptions{Filters: make(client.Filters).Add("label", LabelOwner).Add("name", name)})
	if err != nil {
		return nil, fmt.Errorf("attach to %q: %w", name, err)
	}
	for _, summary := range found.Items {
		if !slices.Contains(summary.Names, "/"+name) {
			continue // the engine matches parts of names
		}
		provider, err := testcontainers.NewDockerProvider(testcontainers.WithDefaultBridgeNetwork(testcontainers.Bridge))
		if err != nil {
			return nil, fmt.Errorf("attach to %q at %s: %w", name, e.Host, err)
		}
		ctr, err := provider.ContainerFromType(ctx, summary)
		if err != nil {
			return nil, fmt.Errorf("attach to %q: %w", name, err)
		}
		c := &Container{Container: ctr}
		return c, c.recall(ctx)
	}
	return nil, fmt.Errorf("attach to %q: %w", name, ErrNoContainer)
}

// recall reads back what Run once set.
func (c *Container) recall(ctx context.Context) error {
	var err error
	if c.settings, err = newSettings(nil); err != nil {
		return err
	}
	in, err := c.Inspect(ctx)
	if err != nil {
		return fmt.Errorf("inspecting the container: %w", err)
	}
	for _, ep := range in.NetworkSettings.Networks {
		c.addr = ep.IPAddress
	}
	c.published = publishedTCP(in.NetworkSettings.Ports)
	if c.settings.canaries, err = parsePorts(in.Config.Labels[labelCanaries]); err != nil {
		return err
	}
	c.canaries = c.settings.canaryPorts()
	for _, kv := range in.Config.Env {
		if err := c.settings.recall(kv); err != nil {
			return err
		}
	}
	return nil
}

// RemoveContainers removes every container that carries the slug, whatever state its creation was cut off in. None is nil.
func RemoveContainers(ctx context.Context, slug string) error {
	if slug == "" {
		return nil
	}
	_, cli, err := connect(ctx)
	if err != nil {
		return fmt.Errorf("removing the bundle of %q: %w", slug, err)
	}
	found, err := cli.ContainerList(ctx, client.ContainerListOptions{All: true, Filters: bySlug(slug)})
	if err != nil {
		return fmt.Errorf("removing the bundle of %q: %w", slug, err)
	}
	var errs []error
	for _, c := range found.Items {
		_, err := cli.ContainerRemove(ctx, c.ID, client.ContainerRemoveOptions{Force: true, RemoveVolumes: true})
		if err != nil && !errdefs.IsNotFound(err) {
			errs = append(errs, fmt.Errorf("removing container %.12s: %w", c.ID, err))
		}
	}
	return errors.Join(errs...)
}

// RemoveNetworks removes every network that carries the slug. None is nil. Containers have to leave it first.
func RemoveNetworks(ctx context.Context, slug string) error {
	if slug == "" {
		return nil
	}
	_, cli, err := connect(ctx)
	if err != nil {
		return fmt.Errorf("removing the network of %q: %w", slug, err)
	}
	found, err := cli.NetworkList(ctx, client.NetworkListOptions{Filters: bySlug(slug)})
	if err != nil {
		return fmt.Errorf("removing the network of %q: %w", slug, err)
	}
	var errs []error
	for _, n := range found.Items {
		_, err := cli.NetworkRemove(ctx, n.ID, client.NetworkRemoveOptions{})
		if err != nil && !errdefs.IsNotFound(err) {
			errs = append(errs, fmt.Errorf("removing network %q: %w", n.Name, err))
		}
	}
	return errors.Join(errs...)
}

func bySlug(slug string) client.Filters {
	return make(client.Filters).Add("label", LabelSlug+"="+slug)
}
