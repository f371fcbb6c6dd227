package bottletest

import (
	"context"

	"bottle.internal/probes"
	"bottle.internal/smolvm"
)

// twinMachine is what the twin of the guest called machine is called.
func twinMachine(machine string) string { return machine + "-twin" }

// twin boots a second guest from what the first boots from, on the same backend, with a network and no policy: what every probe
// of the policy has to reach, or its silence in the guest means nothing. The backend is named where a guest without a policy would
// get another one: from 1.1.3 a policy selects virtio-net, and no policy tsi (smolvm src/network/launch.rs).
func (l *launch) twin(ctx context.Context, undo *undo) error {
	return l.step(ctx, "twin", func(ctx context.Context) error {
		client, name := l.engine.client, twinMachine(l.plan.Machine)
		o := l.createOptions()
		o.Network = smolvm.Network{Enabled: true}
		if l.plan.Backend == smolvm.VirtioNet {
			o.Network.Backend = smolvm.VirtioNet
		}
		undo.push("twin delete", func(ctx context.Context) error { return client.Delete(ctx, name) })
		if err := client.Create(ctx, name, o); err != nil {
			return err
		}
		undo.push("twin stop", func(ctx context.Context) error { return client.Stop(ctx, name) })
		open := smolvm.StartOptions{Unfloored: l.engine.version.AtLeast(1, 3, 9)} // before, a twin has the floor too, and C3 says so
		if err := client.StartWith(ctx, name, open); err != nil {
			return err
		}
		if err := l.engine.execReady(ctx, name); err != nil {
			return err
		}
		return client.CopyTo(ctx, name, l.agent, agentPath, 0o755)
	})
}

// twinSite is the twin as a prober asks it, nil if there is none.
func (b *Bottle) twinSite() *probes.Twin {
	if !b.cfg.Twin {
		return nil
	}
	machine := twinMachine(b.plan.Machine)
	return &probes.Twin{Name: "the twin " + machine, Run: func(ctx context.Context, request []byte) ([]byte, error) {
		return b.runAgentIn(ctx, machine, request)
	}}
}
