package bottletest

import (
	"context"
	"fmt"
	"time"

	"bottle.internal/smolvm"
)

// guest creates and boots the machine, waits until it takes commands and brings the agent in.
func (l *launch) guest(ctx context.Context, undo *undo) error {
	client, name := l.engine.client, l.plan.Machine
	steps := []struct {
		name string
		do   func(context.Context) error
	}{
		{"machine create", func(ctx context.Context) error {
			undo.push("machine delete", func(ctx context.Context) error { return client.Delete(ctx, name) })
			return client.Create(ctx, name, l.createOptions())
		}},
		{"effective policy", l.checkPolicy},
		{"machine start", func(ctx context.Context) error {
			undo.push("machine stop", func(ctx context.Context) error { return client.Stop(ctx, name) })
			return client.Start(ctx, name)
		}},
		{"exec ready", func(ctx context.Context) error { return l.engine.execReady(ctx, name) }},
		{"agent in", l.bringAgent},
	}
	for _, s := range steps {
		if err := l.step(ctx, s.name, s.do); err != nil {
			return err
		}
	}
	return nil
}

func (b *Bottle) createOptions() smolvm.CreateOptions {
	o := smolvm.CreateOptions{
		CPUs: b.cfg.CPUs, MemoryMiB: b.cfg.MemoryMiB,
		Network: smolvm.Network{Enabled: true, AllowCIDRs: b.plan.Allow},
	}
	b.image.bootFrom(&o)
	if b.engine.version.AtLeast(1, 8, 0) {
		o.Labels = b.record.labels()
	}
	return o
}

const (
	// readyInRow execs in a row must succeed: the first ones after a start can die with 137 (smolvm 0.8.0).
	readyInRow = 2
	// readyLimit bounds the wait; readyPause is between two tries after a failure.
	readyLimit = 20 * time.Second
	readyPause = 50 * time.Millisecond
)

// execReady waits until the machine called name takes commands.
func (e *guestEngine) execReady(ctx context.Context, name string) error {
	ctx, cancel := context.WithTimeout(ctx, readyLimit)
	defer cancel()
	var last error
	for inRow := 0; inRow < readyInRow; {
		res, err := e.client.Exec(ctx, name, smolvm.Command{Argv: []string{"true"}, Timeout: readyLimit / 4})
		if err == nil && res.ExitCode == 0 {
			inRow++
			continue
		}
		if inRow = 0; err == nil {
			err = fmt.Errorf("true exits %d: %s", res.ExitCode, res.Stderr)
		}
		last = err
		select {
		case <-ctx.Done():
			return fmt.Errorf("waited for %d commands in a row to succeed in %q: %w: the last said: %w", readyInRow, name, context.Cause(ctx), last)
		case <-time.After(readyPause):
		}
	}
	return nil
}
