package bottletest

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync/atomic"
	"time"

	"bottle.internal/internal/echo"
	"bottle.internal/probes"
)

// reachLimit bounds the host's dial of the bundle: an address in somebody else's network, as a container's is on macOS, may
// swallow every packet.
const reachLimit = 2 * time.Second

// errNoBridge says that this host does not reach a container at its own address.
var errNoBridge = errors.New("this host does not reach the container at its own address")

// bridge is what this process knows about that, by having dialled: it is a property of the host and its container engine, and
// not of a bottle.
var bridge struct{ reached, missed atomic.Bool }

// chooseTopology settles how the guest will reach the bundle.
func (l *launch) chooseTopology() error {
	l.topology = l.cfg.topology()
	if l.runtime == Machine {
		l.topology = Alias
		_, err := publishBackend(l.engine.version)
		return err
	}
	if l.topology == "" {
		l.topology = Bridge
		if bridge.missed.Load() {
			l.topology = Alias
		}
	}
	return nil
}

// reach dials the bundle's canary from this host, where smolvm will dial it for the guest. In topology bridge it is asked once
// per process, and only where the topology was not asked for by name: the caller can then launch again with another one.
func (l *launch) reach(ctx context.Context, canary probes.Target) error {
	if l.topology == Bridge && (l.cfg.topology() == Bridge || bridge.reached.Load()) {
		return nil
	}
	err := knock(ctx, canary.Addr, canary.Secret)
	switch {
	case err == nil && l.topology == Bridge:
		bridge.reached.Store(true)
		return nil
	case err == nil:
		return l.plan.checkPublished()
	case l.topology == Bridge && ctx.Err() == nil:
		return fmt.Errorf("%w: %w", errNoBridge, err)
	}
	return fmt.Errorf("the bundle is published at %s and does not answer there; a container engine on another host publishes there: %w", canary.Addr, err)
}

// knock dials addr and has a fresh nonce proved. What answers without the proof is another network's.
func knock(ctx context.Context, addr netip.AddrPort, secret echo.Secret) error {
	ctx, cancel := context.WithTimeout(ctx, reachLimit)
	defer cancel()
	n := echo.NewNonce()
	reply, err := echo.Ask(ctx, addr, n)
	if err == nil && !secret.Verify(n, reply) {
		err = fmt.Errorf("%s: %w", addr, echo.ErrForeign)
	}
	return err
}
