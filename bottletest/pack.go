package bottletest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"bottle.internal/probes"
	"bottle.internal/smolvm"
)

// packs makes another guest from a pack of this one, nil where that is not this bottle's to do.
func (b *Bottle) packs() func(context.Context) (*probes.Peer, error) {
	if b.attached {
		return nil
	}
	return b.packed
}

// packed packs the guest, which is stopped for it and started again, and boots another of the same policy from the pack.
func (b *Bottle) packed(ctx context.Context) (_ *probes.Peer, err error) {
	begin := time.Now()
	dir, err := os.MkdirTemp("", "bottle-pack-")
	if err != nil {
		return nil, err
	}
	tidy := func(context.Context) error { return os.RemoveAll(dir) }
	path, err := b.pack(ctx, filepath.Join(dir, "guest"))
	if err != nil {
		return nil, errors.Join(err, tidy(ctx))
	}
	o := b.createOptions()
	o.Image, o.From = "", path
	p, err := b.bootBeside(ctx, o, tidy)
	if err == nil {
		p.Name = "the guest from a pack " + peerMachine(b.plan.Machine)
		b.cfg.logf("%-18s %s", "packed guest", time.Since(begin).Round(time.Millisecond))
	}
	return p, err
}

// pack goes on to its end where ctx ends meanwhile: the guest is to be as up afterwards as it was before.
func (b *Bottle) pack(ctx context.Context, to string) (string, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), restartLimit)
	defer cancel()
	client, name := b.engine.client, b.plan.Machine
	err := client.Stop(ctx, name)
	path := ""
	if err == nil {
		path, err = client.PackCreate(ctx, smolvm.PackOptions{FromMachine: name, Output: to})
	}
	if err := errors.Join(err, client.Start(ctx, name)); err != nil {
		return "", fmt.Errorf("packing %q: %w", name, err)
	}
	return path, nil
}

// lacking is what smolvm has not that scenes need, by its command line.
func (b *Bottle) lacking() map[string]string {
	v := b.engine.version
	forks := fmt.Sprintf("smolvm %s has no command that copies a machine as it runs", v)
	if v.AtLeast(1, 3, 0) {
		forks = fmt.Sprintf("smolvm %s copies machines that were started to be forked (start --forkable), and this one was not", v)
	}
	return map[string]string{
		"life.pause":    fmt.Sprintf("smolvm %s has no command that pauses a machine: it starts and stops them", v),
		"life.snapshot": forks,
	}
}
