package smolvm

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"
)

// StartOptions say how a machine is started. The zero value is Start's.
type StartOptions struct {
	// PublishAddr is the host address at which the ports of CreateOptions.Ports are published; the zero Addr is smolvm's own, 127.0.0.1.
	// 1.0.4 or later, on virtio-net only. smolvm turns its egress floor strict with it, which denies private addresses even where a policy
	// allows them: the start pins the floor so that it does not.
	PublishAddr netip.Addr
	// Unfloored takes the egress floor away, which keeps link-local addresses from a guest even without a policy. 1.3.9 or later. It is
	// for a guest that is meant to be open.
	Unfloored bool
}

func (o StartOptions) checkRelease(v Version) error {
	switch {
	case o.Unfloored && !v.has(floorVariable):
		return fmt.Errorf("%w: a start without a floor: %s can, this is %s", ErrUnsupported, features[floorVariable].since, v)
	case !o.PublishAddr.IsValid():
		return nil
	case o.PublishAddr.Zone() != "" || o.PublishAddr.Is4In6() || o.PublishAddr.IsMulticast():
		return fmt.Errorf("%w: address %s to publish at", ErrInvalid, o.PublishAddr)
	case !v.has(publishAddr):
		return fmt.Errorf("%w: publishing at %s: %s can, this is %s", ErrUnsupported, o.PublishAddr, features[publishAddr].since, v)
	}
	return nil
}

// Start is StartWith without options.
func (c *Client) Start(ctx context.Context, name string) error {
	return c.StartWith(ctx, name, StartOptions{})
}

// StartWith boots the machine and returns when its agent answers. A machine that runs already is a success, and keeps the options it was
// started with.
//
// ErrNotFound, ErrBoot (smolvm gives the guest 30 s), ErrBusy (another process is starting it), ErrNoHypervisor. Below 1.2.5 starts
// of this user wait for each other. When ctx ends, smolvm is interrupted, then told to stop the machine, and the VM's process is looked
// for and ended, which takes up to a minute and a half more: an interrupted start of many releases leaves a VM that nothing lists (v0.8.0
// process.rs). An error says so if that process could not be ended. A machine that ran before the call runs on, and a ctx that has ended
// already touches none. The same is done when smolvm was killed or did not end in 15 min, and below 1.5.0 when the guest did not come up
// (#583). Delete is still to be called.
func (c *Client) StartWith(ctx context.Context, name string, o StartOptions) error {
	if err := checkName(name); err != nil {
		return err
	}
	v, err := c.release(ctx)
	if err != nil {
		return err
	}
	if err := o.checkRelease(v); err != nil {
		return fmt.Errorf("starting %q: %w", name, err)
	}
	if !v.has(readyPerMachine) {
		key, err := c.rootfsKey()
		if err != nil {
			return err
		}
		done, err := takeTurn(ctx, "start", key)
		if err != nil {
			return fmt.Errorf("starting %q: %w", name, err)
		}
		defer done()
	}
	if ctx.Err() != nil {
		return fmt.Errorf("starting %q: %w", name, over(ctx))
	}
	c.setPrimed(name, false)
	restricted, began := c.known(name).network.restricted(), time.Now()
	out, err := c.run(ctx, call{argv: startArgs(name), env: startEnv(v, restricted, o), limit: startLimit, apart: true})
	if out.cut || errors.Is(err, ErrBoot) && !v.has(bootFailureKills) {
		err = errors.Join(err, c.abandon(ctx, name, began))
	}
	return err
}
