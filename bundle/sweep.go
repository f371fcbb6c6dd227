package bundle

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/client"
)

// Sweep removes the containers and networks whose owner (LabelOwner) is dead, containers first, and returns what it removed, such
// as "container bottle-x1", also when some could not be. Objects without an owner are not ours and are never touched. What vanishes
// meanwhile counts as somebody else's removal.
func Sweep(ctx context.Context, dead func(owner string) bool) (removed []string, err error) {
	_, cli, err := connect(ctx)
	if err != nil {
		return nil, fmt.Errorf("sweep: %w", err)
	}
	found, err := owned(ctx, cli)
	if err != nil {
		return nil, fmt.Errorf("sweep: %w", err)
	}
	var errs []error
	for _, o := range found {
		if o.owner == "" || !dead(o.owner) {
			continue
		}
		switch err := o.remove(ctx); {
		case err == nil:
			removed = append(removed, o.name)
		case !errdefs.IsNotFound(err) && !beingRemoved(err):
			errs = append(errs, fmt.Errorf("sweep: removing %q: %w", o.name, err))
		}
	}
	return removed, errors.Join(errs...)
}

// An object is a container or a network that carries an owner label.
type object struct {
	name, owner string // name with its kind before it
	remove      func(context.Context) error
}

// owned lists what carries LabelOwner, containers before networks.
func owned(ctx context.Context, cli *client.Client) ([]object, error) {
	ours := make(client.Filters).Add("label", LabelOwner)
	var out []object
	cs, err := cli.ContainerList(ctx, client.ContainerListOptions{All: true, Filters: ours})
	if err != nil {
		return nil, fmt.Errorf("listing containers: %w", err)
	}
	for _, c := range cs.Items {
		out = append(out, object{"container " + strings.TrimPrefix(strings.Join(c.Names, ","), "/"), c.Labels[LabelOwner], func(ctx context.Context) error {
			_, err := cli.ContainerRemove(ctx, c.ID, client.ContainerRemoveOptions{Force: true, RemoveVolumes: true})
			return err
		}})
	}
	ns, err := cli.NetworkList(ctx, client.NetworkListOptions{Filters: ours})
	if err != nil {
		return nil, fmt.Errorf("listing networks: %w", err)
	}
	for _, n := range ns.Items {
		out = append(out, object{"network " + n.Name, n.Labels[LabelOwner], func(ctx context.Context) error {
			_, err := cli.NetworkRemove(ctx, n.ID, client.NetworkRemoveOptions{})
			return err
		}})
	}
	return out, nil
}
