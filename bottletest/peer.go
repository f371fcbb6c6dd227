package bottletest

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"bottle.internal/probes"
	"bottle.internal/smolvm"
)

// peerMachine is what the peer of the guest called machine is called.
func peerMachine(machine string) string { return machine + "-peer" }

// peers brings another guest up beside this one, nil where that is not this bottle's to do.
func (b *Bottle) peers() func(context.Context, probes.PeerSpec) (*probes.Peer, error) {
	if b.attached {
		return nil
	}
	return b.peer
}

// peer boots a guest from what this one boots from, with a policy of its own and one port published.
func (b *Bottle) peer(ctx context.Context, spec probes.PeerSpec) (*probes.Peer, error) {
	if why := b.unpublished(); why != "" && spec.Publish != 0 {
		return &probes.Peer{Unpublished: why}, nil
	}
	begin := time.Now()
	p, err := b.bootBeside(ctx, b.peerOptions(spec), nil)
	if err != nil {
		return nil, err
	}
	p.Published = netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), spec.Publish) // 0 is nowhere, and nobody asks
	b.cfg.logf("%-18s %s", "peer", time.Since(begin).Round(time.Millisecond))
	return p, nil
}

// bootBeside boots another guest beside this one, with the agent in it. There is one at a time. tidy is called when it is gone again,
// or did not come up; nil is nothing.
func (b *Bottle) bootBeside(ctx context.Context, o smolvm.CreateOptions, tidy func(context.Context) error) (_ *probes.Peer, err error) {
	b.beside.Lock()
	client, name := b.engine.client, peerMachine(b.plan.Machine)
	end := func(ctx context.Context) error {
		defer b.beside.Unlock()
		ctx, cancel := context.WithTimeout(ctx, teardownTimeout)
		defer cancel()
		err := errors.Join(client.Stop(ctx, name), client.Delete(ctx, name))
		if tidy != nil {
			err = errors.Join(err, tidy(ctx))
		}
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, end(context.WithoutCancel(ctx)))
		}
	}()
	if err := b.notePeer(name); err != nil {
		return nil, err
	}
	if err := client.Create(ctx, name, o); err != nil {
		if errors.Is(err, smolvm.ErrPolicy) || errors.Is(err, smolvm.ErrUnsupported) {
			err = fmt.Errorf("%w: %w", probes.ErrRefused, err)
		}
		return nil, err
	}
	if err := client.Start(ctx, name); err != nil {
		return nil, err
	}
	if err := b.engine.execReady(ctx, name); err != nil {
		return nil, err
	}
	if err := client.CopyTo(ctx, name, b.agent, agentPath, 0o755); err != nil {
		return nil, err
	}
	home, err := client.DataDir(ctx, name)
	if err != nil {
		return nil, err
	}
	return &probes.Peer{
		Name: "the peer " + name, Home: home, Denials: b.denialsOf(name), Close: end,
		Run: func(ctx context.Context, request []byte) ([]byte, error) { return b.runAgentIn(ctx, name, request) },
	}, nil
}

// unpublished is why this release publishes no port of a guest with a policy, "" if it does.
func (b *Bottle) unpublished() string {
	if backend, err := publishBackend(b.engine.version); err != nil || backend != b.plan.Backend {
		return fmt.Sprintf("smolvm %s publishes no port of a guest with a policy, so that nothing of another guest's could be seen to be up", b.engine.version)
	}
	return ""
}

// peerOptions are the guest's but for the policy, and for what smolvm's API does not take where that has to make the machine.
func (b *Bottle) peerOptions(spec probes.PeerSpec) smolvm.CreateOptions {
	o := b.createOptions()
	if !spec.Allow.IsValid() {
		o.Network, o.Labels = smolvm.Network{DenyAll: true}, nil
		return o
	}
	o.Network = smolvm.Network{Enabled: true, AllowCIDRs: []netip.Prefix{netip.PrefixFrom(spec.Allow, spec.Allow.BitLen())}}
	if spec.Publish != 0 {
		o.Ports = []smolvm.Port{{Host: spec.Publish, Guest: spec.Publish}}
	}
	return o
}

// notePeer has whoever ends this bottle end its peer as well, be it Sweep.
func (b *Bottle) notePeer(name string) error {
	if b.record.Peer {
		return nil
	}
	b.undo.push("peer", func(ctx context.Context) error {
		return errors.Join(b.engine.client.Stop(ctx, name), b.engine.client.Delete(ctx, name))
	})
	b.record.Peer = true
	return b.record.write()
}
