package bottletest

import (
	"context"
	"net/netip"

	"bottle.internal/bundle"
	"bottle.internal/internal/echo"
	"bottle.internal/probes"
)

// A sidecar is what a launch needs of the side that runs the bundle: a container engine, or the guest's own with a second
// machine. Every remove succeeds when there is nothing to remove, since it is pushed before its do.
type sidecar interface {
	// prepare finds the engine, or has the program ready.
	prepare(ctx context.Context) error
	// use tells it the guest's engine, once that is found.
	use(e *guestEngine)
	// planNetwork chooses the subnet of the bottle's network, none of those taken, and makes nothing. The others are for a side that
	// has networks only.
	planNetwork(ctx context.Context, slug string, labels map[string]string, taken []netip.Prefix) (netip.Prefix, error)
	createNetwork(ctx context.Context) error
	removeNetwork(ctx context.Context) error
	// create does of start what needs no network that is made; it is called while that is being made.
	create(ctx context.Context, p Plan, labels map[string]string) error
	// start runs the bundle where the plan says and returns when its daemons answered.
	start(ctx context.Context, p Plan, labels map[string]string) error
	// leave takes the bundle off its network, if it has one and is on it: what removes both is quicker then.
	leave(ctx context.Context) error
	remove(ctx context.Context) error
	// halt stops the bundle with all that is in it, for a while.
	halt(ctx context.Context) (probes.Halted, error)
	// canary listens inside the bundle, open to the guest, until it is closed: the live end of the allowed path.
	canary(ctx context.Context) (bundleCanary, error)
	// echo dials addr from inside the bundle and returns the answer of what listens there.
	echo(ctx context.Context, addr netip.AddrPort, n echo.Nonce) (echo.Reply, error)
	// sightings are the echoes that the bundle's daemons logged.
	sightings(ctx context.Context) ([]echo.Sighting, error)
	listeners(ctx context.Context) ([]bundle.Listener, error)
	logs(ctx context.Context) ([]byte, error)
	describe() string
}

// A bundleCanary is a listener inside the bundle.
type bundleCanary interface {
	Sightings(ctx context.Context) ([]echo.Sighting, error)
	Close() error
}

// An addressed canary has an address of its own choice; any other listens at canaryPort.
type addressedCanary interface{ Addr() netip.AddrPort }
