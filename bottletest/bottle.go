package bottletest

import (
	"context"
	"fmt"
	"io/fs"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"bottle.internal/bundle"
	"bottle.internal/internal/echo"
	"bottle.internal/probes"
	"bottle.internal/smolvm"
)

// A Bottle is a guest, its bundle and their network, launched by Run or Start and ended by Close. Its methods may be called
// from several goroutines at once.
type Bottle struct {
	cfg     Config
	plan    Plan
	record  record
	engine  *guestEngine
	image   Prepared
	side    sidecar
	agent   string // the agent's path on this host
	secret  echo.Secret
	world   *probes.World
	planted string // in the launcher's environment; "" in a bottle that was attached
	gate    probes.Report
	journal *journal
	undo    *undo
	closed  atomic.Bool
	// attached is a bottle that somebody else launched: it is not this one's to end.
	attached bool
	batches  atomic.Int64
	beside   sync.Mutex // held while a peer is up
}

// Plan is what was launched.
func (b *Bottle) Plan() Plan { return b.plan }

// Gate is the report of the launch gate.
func (b *Bottle) Gate() probes.Report { return b.gate }

// Client is the smolvm that runs the guest, whose machine is Plan().Machine, for what a Bottle has no method for. What is done with
// it is not undone by Close.
func (b *Bottle) Client() *smolvm.Client { return b.engine.client }

// Exec runs argv in the guest, without a shell, with Plan.GuestEnv set, and returns when it has ended. A guest command that
// fails is a Result with its exit code; an error means that it is not known whether the command ran to its end.
func (b *Bottle) Exec(ctx context.Context, argv ...string) (smolvm.Result, error) {
	return b.ExecCommand(ctx, smolvm.Command{Argv: argv})
}

// ExecCommand is Exec with a working directory, more environment or a limit. cmd.Env comes after Plan.GuestEnv and wins.
func (b *Bottle) ExecCommand(ctx context.Context, cmd smolvm.Command) (smolvm.Result, error) {
	if b.closed.Load() {
		return smolvm.Result{}, ErrClosed
	}
	cmd.Env = append(append([]string(nil), b.plan.GuestEnv...), cmd.Env...)
	if cmd.Waiter == "" {
		cmd.Waiter = agentPath
	}
	return b.engine.client.Exec(ctx, b.plan.Machine, cmd)
}

// CopyTo copies the regular file hostPath to guestPath, which is absolute, and gives it mode. Parent directories are made.
func (b *Bottle) CopyTo(ctx context.Context, hostPath, guestPath string, mode fs.FileMode) error {
	if b.closed.Load() {
		return ErrClosed
	}
	return b.engine.client.CopyTo(ctx, b.plan.Machine, hostPath, guestPath, mode)
}

// CopyFrom copies the regular file guestPath to hostPath. What hostPath held before is replaced only by a complete copy.
func (b *Bottle) CopyFrom(ctx context.Context, guestPath, hostPath string) error {
	if b.closed.Load() {
		return ErrClosed
	}
	return b.engine.client.CopyFrom(ctx, b.plan.Machine, guestPath, hostPath)
}

// Listeners is what listens inside the bundle, and at which address.
func (b *Bottle) Listeners(ctx context.Context) ([]bundle.Listener, error) {
	if b.closed.Load() {
		return nil, ErrClosed
	}
	return b.side.listeners(ctx)
}

// BundleEcho dials addr from inside the bundle and proves that one of its daemons answers there.
func (b *Bottle) BundleEcho(ctx context.Context, addr netip.AddrPort) error {
	if b.closed.Load() {
		return ErrClosed
	}
	n := echo.NewNonce()
	r, err := b.side.echo(ctx, addr, n)
	if err != nil {
		return err
	}
	if !b.secret.Verify(n, r) {
		return fmt.Errorf("bottletest: %s inside the bundle: %w", addr, echo.ErrForeign)
	}
	return nil
}

// Logs is what the bundle has printed so far.
func (b *Bottle) Logs(ctx context.Context) ([]byte, error) {
	if b.closed.Load() {
		return nil, ErrClosed
	}
	return b.side.logs(ctx)
}

// Describe names the engine, the backend, the topology and the bundle's runtime: what a result of this bottle is about.
func (b *Bottle) Describe() Description {
	return Description{Engine: b.plan.Engine, Backend: string(b.plan.Backend), Topology: string(b.plan.Topology), Bundle: b.runtimeText()}
}

// runtimeText is what the bundle runs in.
func (b *Bottle) runtimeText() string {
	if b.side == nil {
		return "none"
	}
	return b.side.describe()
}

// A Description says what a result is about. No report of the kit comes without one.
type Description struct {
	Engine   string `json:"engine"`
	Backend  string `json:"backend"`
	Topology string `json:"topology"`
	Bundle   string `json:"bundle"`
}

// String is the description in one line.
func (d Description) String() string {
	return fmt.Sprintf("%s, backend %s, topology %s, bundle in a %s", d.Engine, d.Backend, d.Topology, d.Bundle)
}

// Close ends the bottle: the machine is stopped and deleted, the bundle and its network removed, in a context of its own that
// outlives a cancelled ctx. It is safe to call again; every call returns what the first one did. With Config.Keep it does nothing but say how to
// remove what stays.
func (b *Bottle) Close(ctx context.Context) error {
	b.closed.Store(true)
	if b.attached {
		return nil
	}
	if b.cfg.Keep {
		b.cfg.logf("kept: %s; remove it with: bottle-probe sweep (once this process has ended)", b.plan.Machine)
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), teardownTimeout)
	defer cancel()
	begin := time.Now()
	err := b.undo.run(ctx)
	b.cfg.logf("%-18s %s", "torn down", time.Since(begin).Round(time.Millisecond))
	if err != nil {
		return fmt.Errorf("bottletest: tearing down %q: %w", b.plan.Machine, err)
	}
	return nil
}
