package bottletest

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/testcontainers/testcontainers-go"

	"bottle.internal/bundle"
	"bottle.internal/internal/echo"
	"bottle.internal/probes"
)

// siblingHost is the number of the sibling's address in the bundle's network: none that the engine hands out, and none that a probe of
// the addresses next to the bundle's dials.
const siblingHost = 5

// siblings puts a container with a canary on the bundle's network, nil where the bundle is no container or not this bottle's.
func (b *Bottle) siblings() func(context.Context) (probes.Target, func(context.Context) error, error) {
	side, ok := b.side.(*containerSidecar)
	if !ok || b.attached || side.net == nil {
		return nil
	}
	return func(ctx context.Context) (probes.Target, func(context.Context) error, error) {
		begin := time.Now()
		t, end, err := side.sibling(ctx, b.plan, b.record.labels())
		if err == nil {
			b.cfg.logf("%-18s %s", "sibling", time.Since(begin).Round(time.Millisecond))
		}
		return t, end, err
	}
}

// sibling runs the default bundle's image beside the bundle, with nothing in it but a canary that has a secret of its own.
func (s *containerSidecar) sibling(ctx context.Context, p Plan, labels map[string]string) (t probes.Target, end func(context.Context) error, err error) {
	image, err := bundle.Image(ctx, s.engine)
	if err != nil {
		return t, nil, err
	}
	at, secret := netip.AddrPortFrom(s.net.Host(siblingHost), canaryPort), echo.NewSecret()
	c, err := bundle.Run(ctx, image,
		bundle.WithName(p.Machine+"-sibling"), bundle.WithNetwork(s.net, at.Addr()), bundle.WithSecret(secret), bundle.WithCanary(canaryPort), testcontainers.WithLabels(labels))
	if err != nil {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), teardownTimeout)
		defer cancel()
		return t, nil, errors.Join(err, c.Remove(ctx))
	}
	t = probes.Target{Name: "sibling container", Addr: at, Secret: secret, Sightings: c.CanarySightings}
	t.Alive = func(ctx context.Context) error {
		n := echo.NewNonce()
		r, err := c.Echo(ctx, at, n)
		if err == nil && !secret.Verify(n, r) {
			err = fmt.Errorf("%s: %w", at, echo.ErrForeign)
		}
		return err
	}
	return t, c.Remove, nil
}
