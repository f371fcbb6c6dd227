package bundle

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/client"
)

var (
	// ErrSubnetTaken says that no subnet of the pool could be had.
	ErrSubnetTaken = errors.New("no free subnet")
	// ErrSubnetLost says that a planned network's subnet is another's by now: another plan may fare better.
	ErrSubnetLost = errors.New("the subnet was taken meanwhile")
)

// NetworkOptions say what network to make. The zero value makes one with a random name, on a random /24 of 10.77.0.0/16.
type NetworkOptions struct {
	// Name is the network's name, "" = a random one.
	Name string
	// Pool is where the /24 is drawn from; a pool smaller than a /24 (down to /29) is itself the subnet. Zero = 10.77.0.0/16.
	Pool netip.Prefix
	// Avoid are subnets that somebody has plans for; nil = none.
	Avoid []netip.Prefix
	// Labels are put on the network, beside who owns it.
	Labels map[string]string
}

// A Network is a bridge of a bottle's own. It does not change after NewNetwork, or but for its ID after PlanNetwork.
type Network struct {
	ID, Name string       // ID is "" while it is only planned
	Subnet   netip.Prefix // IPv4
	Gateway  netip.Addr   // the host's address on it: the subnet's first

	labels map[string]string
}

// defaultPool is private space that neither Docker's default pools nor usual LANs use.
var defaultPool = netip.MustParsePrefix("10.77.0.0/16")

// NewNetwork makes a network on a subnet that intersects none of the host's interfaces and routes and none of the engine's
// networks. Where all of 16 tries were taken, or the host uses the whole pool, the error is ErrSubnetTaken and lists them. A
// network of that name that exists is an error.
func NewNetwork(ctx context.Context, o NetworkOptions) (*Network, error) {
	if !o.Pool.IsValid() {
		o.Pool = defaultPool
	}
	candidates, err := randomSubnets(o.Pool)
	if err != nil {
		return nil, err
	}
	return picker{candidates: candidates, occupied: o.avoiding(hostPrefixes)}.create(ctx, o)
}

// create makes the network o describes on the first candidate that is free.
func (p picker) create(ctx context.Context, o NetworkOptions) (*Network, error) {
	if o.Name == "" {
		o.Name = "bottle-net-" + strings.ToLower(rand.Text()[:8])
	}
	_, cli, err := connect(ctx)
	if err != nil {
		return nil, fmt.Errorf("network %q: %w", o.Name, err)
	}
	if err := nameFree(ctx, cli, o.Name); err != nil {
		return nil, fmt.Errorf("network %q: %w", o.Name, err)
	}
	n := &Network{Name: o.Name, labels: ownedLabels(o.Labels)}
	_, err = p.pick(func(subnet netip.Prefix) error {
		n.Subnet, n.Gateway = subnet, subnet.Addr().Next()
		return n.make(ctx, cli)
	})
	if err != nil {
		return nil, fmt.Errorf("network %q: %w", o.Name, err)
	}
	return n, nil
}

// PlanNetwork decides on what NewNetwork decides on, its name and a subnet that is free now, and makes nothing. What takes longer
// than that can be done with the plan while Create makes the network. o.Name must not be "".
func PlanNetwork(ctx context.Context, o NetworkOptions) (*Network, error) {
	if !o.Pool.IsValid() {
		o.Pool = defaultPool
	}
	candidates, err := randomSubnets(o.Pool)
	if err != nil {
		return nil, err
	}
	_, cli, err := connect(ctx)
	if err != nil {
		return nil, fmt.Errorf("network %q: %w", o.Name, err)
	}
	p := picker{candidates: candidates, occupied: o.avoiding(func() ([]occupied, error) { return everyPrefix(ctx, cli) })}
	subnet, err := p.pick(func(netip.Prefix) error { return nil })
	if err != nil {
		return nil, fmt.Errorf("network %q: %w", o.Name, err)
	}
	return &Network{Name: o.Name, Subnet: subnet, Gateway: subnet.Addr().Next(), labels: ownedLabels(o.Labels)}, nil
}

// avoiding is found and what o avoids.
func (o NetworkOptions) avoiding(found func() ([]occupied, error)) func() ([]occupied, error) {
	return func() ([]occupied, error) {
		all, err := found()
		for _, p := range o.Avoid {
			all = append(all, occupied{p, "somebody's plan"})
		}
		return all, err
	}
}

// Create makes a planned network, once. The error is ErrSubnetLost where the engine has given the subnet to another network since.
func (n *Network) Create(ctx context.Context) error {
	_, cli, err := connect(ctx)
	if err == nil {
		err = nameFree(ctx, cli, n.Name)
	}
	if err == nil {
		err = n.make(ctx, cli)
	}
	if err != nil && isOverlap(err) {
		err = fmt.Errorf("%w: %w", ErrSubnetLost, err)
	}
	if err != nil {
		return fmt.Errorf("network %q: %w", n.Name, err)
	}
	return nil
}

// make asks the engine for it.
func (n *Network) make(ctx context.Context, cli *client.Client) error {
	res, err := toItsEnd(ctx, func(ctx context.Context) (client.NetworkCreateResult, error) {
		return cli.NetworkCreate(ctx, n.Name, client.NetworkCreateOptions{Driver: "bridge", Labels: n.labels, IPAM: ipam(n.Subnet)})
	})
	n.ID = res.ID
	return err
}

// ipam hands out automatic addresses from the upper half, so that none takes an address that will be pinned.
func ipam(subnet netip.Prefix) *network.IPAM {
	upper := netip.PrefixFrom(hostOf(subnet, 1<<(31-subnet.Bits())), subnet.Bits()+1)
	return &network.IPAM{Driver: "default", Config: []network.IPAMConfig{{
		Subnet: subnet, Gateway: subnet.Addr().Next(), IPRange: upper,
	}}}
}

// nameFree fails where the name is in use: engines before API 1.44 make a second network of that name.
func nameFree(ctx context.Context, cli *client.Client, name string) error {
	res, err := cli.NetworkList(ctx, client.NetworkListOptions{Filters: make(client.Filters).Add("name", name)})
	if err != nil {
		return err
	}
	for _, n := range res.Items {
		if n.Name == name {
			return fmt.Errorf("%w: the name is in use by network %.12s", errdefs.ErrAlreadyExists, n.ID)
		}
	}
	return nil
}

// Host is the n-th address of the subnet: 0 is the network's own, 1 the gateway, 2 to 126 are never handed out by the engine
// itself. The zero Addr where the subnet has no such address.
func (n *Network) Host(i int) netip.Addr {
	if i < 0 || i >= 1<<(32-n.Subnet.Bits())-1 {
		return netip.Addr{}
	}
	return hostOf(n.Subnet, i)
}

func hostOf(p netip.Prefix, i int) netip.Addr {
	b := p.Masked().Addr().As4()
	v := uint32(b[0])<<24 | uint32(b[1])<<16 | uint32(b[2])<<8 | uint32(b[3])
	v += uint32(i)
	return netip.AddrFrom4([4]byte{byte(v >> 24), byte(v >> 16), byte(v >> 8), byte(v)})
}

// Remove removes the network; one that is gone or was never made, or a nil Network, is nil. Containers have to leave it first.
func (n *Network) Remove(ctx context.Context) error {
	if n == nil || n.ID == "" {
		return nil
	}
	_, cli, err := connect(ctx)
	if err == nil {
		_, err = cli.NetworkRemove(ctx, n.ID, client.NetworkRemoveOptions{})
	}
	if err != nil && !errdefs.IsNotFound(err) {
		return fmt.Errorf("removing network %q: %w", n.Name, err)
	}
	return nil
}
