package bottletest

import (
	"cmp"
	"context"
	"errors"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"bottle.internal/bundle"
	"bottle.internal/internal/echo"
	"bottle.internal/internal/gobuild"
	"bottle.internal/internal/owner"
	"bottle.internal/smolvm"
)

// A launch is one bottle on its way up.
type launch struct {
	*Bottle
	with     parts
	runtime  BundleRuntime // settled in readiness
	topology Topology
	labels   map[string]string
	failed   string        // the step that failed
	policy   smolvm.Policy // the guest's, once it is created
	mu       sync.Mutex
}

// Run launches a bottle and returns when its launch gate passed. On an error everything started is gone again, unless
// Config.Keep, and the error is a *LaunchError that says at which step. The caller ends the bottle with Close.
//
// A ctx without a deadline gets one of three minutes, and twenty more where there is an image to prepare. Run may be called from several goroutines and processes at once.
func Run(ctx context.Context, cfg Config) (*Bottle, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	secret := echo.NewSecret()
	return run(ctx, cfg, secret, realParts(cfg, secret))
}

// realParts are the parts of a bottle, not of a test.
func realParts(cfg Config, secret echo.Secret) parts {
	newSide := func(r BundleRuntime) sidecar {
		if r == Machine {
			return &machineSidecar{cfg: cfg, secret: secret}
		}
		return &containerSidecar{cfg: cfg, secret: secret}
	}
	return parts{newSide, findEngine, thisHost{}}
}

// parts are what a launch is made with.
type parts struct {
	newSide func(BundleRuntime) sidecar // the side that runs the bundle
	find    func(context.Context, Config) (*guestEngine, error)
	host    hostAddresses
}

// run launches, and launches once more where the topology was left open and this host turned out not to reach the container.
// This process knows it from then on. It also does where its subnet was lost to somebody else's network, a few times.
func run(ctx context.Context, cfg Config, secret echo.Secret, with parts) (*Bottle, error) {
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, cfg.launchLimit())
		defer cancel()
	}
	j := &journal{next: cfg.Logf}
	cfg.Logf = j.logf
	for lost := 0; ; {
		l := &launch{Bottle: &Bottle{cfg: cfg, secret: secret, journal: j, undo: new(undo)}, with: with}
		err := l.up(ctx)
		if err == nil {
			return l.Bottle, nil
		}
		failed := l.abort(err)
		switch {
		case failed.Leftover != nil:
			return nil, failed
		case errors.Is(err, errNoBridge) && !bridge.missed.Swap(true):
			cfg.logf("launching again with topology %q: %v", Alias, err)
		case errors.Is(err, bundle.ErrSubnetLost) && lost < maxLost:
			lost++
			cfg.logf("launching again on another subnet: %v", err)
		default:
			return nil, failed
		}
	}
}

// maxLost is how often a launch may find its subnet gone to somebody else's network between its plan and its making.
const maxLost = 3

// another reports whether a launch that failed for this cause may be followed by another: it is no failure to keep or to explain.
func another(cause error) bool {
	return errors.Is(cause, errNoBridge) || errors.Is(cause, bundle.ErrSubnetLost)
}

// up runs the steps. What the container engine and smolvm do is independent until the gate once it is known at which addresses, so
// they do it side by side: the container's start and the guest's boot are the two long waits of a launch.
func (l *launch) up(ctx context.Context) error {
	if err := l.choose(ctx); err != nil {
		return err
	}
	left, guests := l.undo.fork()
	right, aside := guests.fork()
	if l.runtime == Container {
		l.undo.push("bundle off its network", l.leave)
	}
	both, branch := errgroup.WithContext(ctx)
	networked := make(chan struct{})
	both.Go(func() error { return l.bundle(branch, left, sync.OnceFunc(func() { close(networked) })) })
	both.Go(func() error {
		select {
		case <-networked:
			return l.guest(branch, right)
		case <-branch.Done():
			return context.Cause(branch)
		}
	})
	if l.cfg.Twin {
		both.Go(func() error { return l.twin(branch, aside) })
	}
	if err := both.Wait(); err != nil {
		return err
	}
	l.plan.Policy = l.policy.String()
	return l.step(ctx, "launch gate", l.passGate)
}

// choose settles with what, under which names and at which addresses the bottle will be launched.
func (l *launch) choose(ctx context.Context) error {
	if err := l.readiness(ctx); err != nil {
		return err
	}
	if err := l.claim(ctx); err != nil {
		return err
	}
	if l.topology == Alias {
		if err := l.claimAlias(ctx); err != nil {
			return err
		}
	}
	return l.locate(ctx)
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

// readiness finds both engines and has every binary and the guest's image ready; it leaves nothing behind.
func (l *launch) readiness(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		err := l.step(ctx, "guest engine", func(ctx context.Context) (err error) {
			l.engine, err = l.with.find(ctx, l.cfg)
			return err
		})
		if err != nil {
			return err
		}
		return l.prepareImage(ctx)
	})
	group.Go(func() error { return l.step(ctx, "bundle engine", l.prepareSide) })
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

// prepareSide finds what runs the bundle. Where that was left open and no container engine answers, it is a machine.
func (l *launch) prepareSide(ctx context.Context) error {
	l.runtime = cmp.Or(l.cfg.runtime(), Container)
	l.side = l.with.newSide(l.runtime)
	err := l.side.prepare(ctx)
	if l.runtime == Machine || !errors.Is(err, ErrUnavailable) || !l.cfg.mayBeMachine() {
		return err
	}
	l.cfg.logf("the bundle will be a machine: %v", err)
	l.runtime = Machine
	l.side = l.with.newSide(l.runtime)
	return l.side.prepare(ctx)
}

// claim chooses the slug and writes down whose it is, before anything that a killed run could leave behind.
func (l *launch) claim(ctx context.Context) error {
	slug := newSlug(l.cfg.prefix())
	l.record = record{
		Slug: slug, Owner: owner.Self(), Started: time.Now().UTC().Truncate(time.Second),
		Engine: l.engine.kind, Path: l.engine.client.Path, Env: l.engine.stateEnv(), Runtime: l.runtime, Twin: l.cfg.Twin, Pack: l.image.Boot,
	}

	l.labels = l.record.labels()
	if err := l.step(ctx, "topology", func(context.Context) error { return l.chooseTopology() }); err != nil {
		return err
	}
	return l.step(ctx, "claim", func(context.Context) error {
		l.undo.last = undoStep{"record", func(context.Context) error { return l.record.remove() }}
		if err := l.record.write(); err != nil {
			return err
		}
		if err := l.openWorld(); err != nil {
			return err
		}
		l.plant()
		l.side.use(l.engine)
		return nil
	})
}

// locate settles where the bundle will be, and plans. What other launches have planned is taken although it may not be made yet, so
// a subnet is in the record before any other launch chooses its own.
func (l *launch) locate(ctx context.Context) error {
	at := Location{Topology: l.topology, Runtime: l.runtime, Alias: l.record.Alias.Addr, Ports: l.record.Alias.Ports, Shared: l.record.Alias.Shared}
	if l.runtime != Container {
		return l.planAt(at)
	}
	return l.step(ctx, "subnet", func(ctx context.Context) error {
		return withAllocationLock(ctx, func() (err error) {
			if at.Subnet, err = l.side.planNetwork(ctx, l.record.Slug, l.labels, plannedSubnets()); err != nil {
				return err
			}
			return l.planAt(at)
		})
	})
}

func (l *launch) planAt(at Location) error {
	l.plan = NewPlan(l.cfg, l.record.Slug, at, l.engine.version)
	l.plan.ImageDigest, l.plan.ImageRoad = l.image.Digest, l.image.Road
	l.plan.Exposed = l.plan.exposedText()
	l.cfg.logf("plan:\n%s", l.plan)
	l.record.Plan = &l.plan
	return l.record.write()
}

// abort undoes what the launch did and says so in the error.
func (l *launch) abort(cause error) *LaunchError {
	e := &LaunchError{Step: l.failed, Err: cause}
	ctx, cancel := context.WithTimeout(context.Background(), teardownTimeout)
	defer cancel()
	if !another(cause) {
		l.saveArtifacts(ctx)
	}
	if l.cfg.Keep && !another(cause) {
		e.Leftover = errors.New("Config.Keep is set")
		return e
	}
	e.Leftover = l.undo.run(ctx)
	e.Undone = l.undo.ran
	return e
}
