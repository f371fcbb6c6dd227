package bottletest

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"bottle.internal/internal/echo"
	"bottle.internal/internal/gobuild"
	"bottle.internal/internal/owner"
	"bottle.internal/probes"
	"bottle.internal/smolvm"
)

// A launch is one bottle on its way up.
type launch struct {
	*Bottle
	labels map[string]string
	failed string // the step that failed
	mu     sync.Mutex
}

// Run launches a bottle and returns when its launch gate passed. On an error everything started is gone again, unless
// Config.Keep, and the error is a *LaunchError that says at which step. The caller ends the bottle with Close.
//
// A ctx without a deadline gets one of three minutes. Run may be called from several goroutines and processes at once.
func Run(ctx context.Context, cfg Config) (*Bottle, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	secret := echo.NewSecret()
	return run(ctx, cfg, secret, &containerSidecar{cfg: cfg, secret: secret}, findEngine)
}

type engineFinder func(context.Context, Config) (*guestEngine, error)

func run(ctx context.Context, cfg Config, secret echo.Secret, side sidecar, find engineFinder) (*Bottle, error) {
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, launchTimeout)
		defer cancel()
	}
	j := &journal{next: cfg.Logf}
	cfg.Logf = j.logf
	l := &launch{Bottle: &Bottle{cfg: cfg, secret: secret, side: side, journal: j, undo: new(undo)}}
	if err := l.up(ctx, find); err != nil {
		return nil, l.abort(err)
	}
	return l.Bottle, nil
}

// up runs the steps. What the container engine and smolvm do is independent until the gate, so they do it side by side: the
// container's start and the guest's boot are the two long waits of a launch.
func (l *launch) up(ctx context.Context, find engineFinder) error {
	if err := l.readiness(ctx, find); err != nil {
		return err
	}
	if err := l.claim(ctx); err != nil {
		return err
	}
	left, right := l.undo.fork()
	if err := l.network(ctx, left); err != nil {
		return err
	}
	both, branch := errgroup.WithContext(ctx)
	both.Go(func() error { return l.bundle(branch, left) })
	both.Go(func() error { return l.guest(branch, right) })
	if err := both.Wait(); err != nil {
		return err
	}
	return l.step(ctx, "launch gate", l.passGate)
}

// step runs one step of the launch under its name.
func (l *launch) step(ctx context.Context, name string, do func(context.Context) error) error {
	begin := time.Now()
	err := do(ctx)
	if err != nil {
		l.mu.Lock()
		if l.failed == "" {
			l.failed = name
		}
		l.mu.Unlock()
		return err
	}
	l.cfg.logf("%-18s %s", name, time.Since(begin).Round(time.Millisecond))
	return nil
}

// readiness finds both engines and has every binary and image ready; it leaves nothing behind.
func (l *launch) readiness(ctx context.Context, find engineFinder) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		return l.step(ctx, "guest engine", func(ctx context.Context) (err error) {
			l.engine, err = find(ctx, l.cfg)
			return err
		})
	})
	group.Go(func() error { return l.step(ctx, "bundle image", l.side.prepare) })
	group.Go(func() error {
		return l.step(ctx, "probe agent", func(ctx context.Context) (err error) {
			if l.agent = l.cfg.Agent; l.agent == "" {
				l.agent, err = gobuild.Binary(ctx, gobuild.Target{Command: "bottle-agent", GOOS: "linux"})
			}
			return err
		})
	})
	return group.Wait()
}

// claim chooses the slug and writes down whose it is, before anything that a killed run could leave behind.
func (l *launch) claim(ctx context.Context) error {
	slug := newSlug(l.cfg.prefix())
	l.record = record{
		Slug: slug, Owner: owner.Self(), Started: time.Now().UTC().Truncate(time.Second),
		Engine: l.engine.kind, Path: l.engine.client.Path, Env: l.engine.stateEnv(),
	}
	l.labels = map[string]string{
		"internal.bottle.slug":    slug,
		"internal.bottle.owner":   string(l.record.Owner),
		"internal.bottle.started": l.record.Started.Format(time.RFC3339),
	}
	return l.step(ctx, "claim", func(context.Context) error {
		l.undo.last = undoStep{"record", func(context.Context) error { return l.record.remove() }}
		if err := l.record.write(); err != nil {
			return err
		}
		return l.openWorld()
	})
}

// openWorld brings up the sink that stands in for the rest of the internet, for an engine that is hermetic.
func (l *launch) openWorld() error {
	if l.engine.kind != Simulator {
		return nil
	}
	w, err := probes.NewWorld()
	if err != nil {
		return err
	}
	l.world = w
	l.undo.push("world", func(context.Context) error { return w.Close() })
	l.engine.client.Env = append(l.engine.client.Env, "SMOLVM_SIM_WORLD="+w.Path())
	l.record.World = filepath.Dir(w.Path())
	return l.record.write()
}

func (l *launch) network(ctx context.Context, undo *undo) error {
	return l.step(ctx, "network", func(ctx context.Context) error {
		undo.push("network", l.side.removeNetwork)
		return withAllocationLock(ctx, func() error {
			subnet, err := l.side.createNetwork(ctx, l.record.Slug, l.labels)
			if err == nil {
				l.plan = NewPlan(l.cfg, l.record.Slug, subnet, l.engine.version)
				l.cfg.logf("plan:\n%s", l.plan)
			}
			return err
		})
	})
}

func (l *launch) bundle(ctx context.Context, undo *undo) error {
	return l.step(ctx, "bundle", func(ctx context.Context) error {
		undo.push("bundle", l.side.remove)
		return l.side.start(ctx, l.plan, l.labels)
	})
}

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
		{"machine start", func(ctx context.Context) error {
			undo.push("machine stop", func(ctx context.Context) error { return client.Stop(ctx, name) })
			return client.Start(ctx, name)
		}},
		{"exec ready", l.execReady},
		{"agent in", l.bringAgent},
	}
	for _, s := range steps {
		if err := l.step(ctx, s.name, s.do); err != nil {
			return err
		}
	}
	return nil
}

func (l *launch) createOptions() smolvm.CreateOptions {
	o := smolvm.CreateOptions{
		From: l.cfg.From, CPUs: l.cfg.CPUs, MemoryMiB: l.cfg.MemoryMiB,
		Network: smolvm.Network{Enabled: true, AllowCIDRs: l.plan.Allow},
	}
	if l.engine.version.AtLeast(1, 8, 0) {
		o.Labels = l.labels
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

func (l *launch) execReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readyLimit)
	defer cancel()
	var last error
	for inRow := 0; inRow < readyInRow; {
		res, err := l.engine.client.Exec(ctx, l.plan.Machine, smolvm.Command{Argv: []string{"true"}, Timeout: readyLimit / 4})
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
			return fmt.Errorf("waited for %d commands in a row to succeed in %q: %w: the last said: %w", readyInRow, l.plan.Machine, context.Cause(ctx), last)
		case <-time.After(readyPause):
		}
	}
	return nil
}

// abort undoes what the launch did and says so in the error.
func (l *launch) abort(cause error) error {
	e := &LaunchError{Step: l.failed, Err: cause}
	ctx, cancel := context.WithTimeout(context.Background(), teardownTimeout)
	defer cancel()
	l.saveArtifacts(ctx)
	if l.cfg.Keep {
		e.Leftover = errors.New("Config.Keep is set")
		return e
	}
	e.Leftover = l.undo.run(ctx)
	e.Undone = l.undo.ran
	return e
}
