package probes

import (
	"context"
	"net"
	"net/netip"
	"time"

	"bottle.internal/internal/echo"
)

// The backends that the judge knows. Any other name, and "", is judged as a plain Linux sandbox.
const (
	TSI       = "tsi"        // libkrun's socket impersonation: guest sockets are the host's, denials are EACCES
	VirtioNet = "virtio-net" // a user-space gateway: denials are RSTs, handshakes come before the dial
)

// A RunFunc runs the agent once inside the sandbox, with request as its standard input or in a file named on its command line,
// and returns what it printed to standard output. An error is one of transport: the sandbox could not be asked. What it returns
// is untrusted. It must honour ctx.
type RunFunc func(ctx context.Context, request []byte) (response []byte, err error)

// A Site is all that the prober needs to know of a sandbox. It never learns what kind of thing the sandbox is.
type Site struct {
	Engine, Version string // recorded in the report
	Backend         string // TSI, VirtioNet, or "" for unknown
	Topology        string // recorded in the report
	Simulated       bool   // the engine is a model and not a boundary; every report says so
	Policy          []string

	// Run is needed.
	Run RunFunc
	// Allowed is a live echo listener at the one allowed destination: control C2. Without it, when its Addr is zero, every
	// denial is inconclusive.
	Allowed Target
	// HostLoopback is how this sandbox could spell the host's loopback; nil means 127.0.0.1 and ::1.
	HostLoopback []netip.Addr
	// Closed are listeners that share an allowed address and must stay out of reach all the same.
	Closed []Target
	// World stands in for every address that is not this host's; nil means that nothing does.
	World *World
}

// A Target is a listener that a probe dials.
type Target struct {
	Name string
	Addr netip.AddrPort // as the guest would dial it
	// Secret is what its proofs are made with. With the zero Secret no reply can be verified.
	Secret echo.Secret
	// Alive is control C1: it dials the listener from the listener's own position. nil means that it cannot be checked.
	Alive func(ctx context.Context) error
	// Sightings are all echoes that the listener has logged since it came up, those that Alive made among them. nil means that
	// there is no such log, so that the listener's silence cannot be shown.
	Sightings func(ctx context.Context) ([]echo.Sighting, error)
}

// Options say how probes are run. The zero Options are the defaults.
type Options struct {
	// Attempts is how often each denial is tried; the worst counts. 0 is 2.
	Attempts int
	// Budget is the time of one attempt. 0 is 1.5 s. A denial that met silence is tried once more with three times as much.
	Budget time.Duration
	// Grace is how long canaries are watched after the last attempt. 0 is 50 ms.
	Grace time.Duration
	// LoopbackPorts are ports of the host's loopback to be probed beside the ephemeral one, with a canary on each that can be
	// bound. Where one cannot, only an errno that nothing but the policy gives can show that it is out of reach.
	LoopbackPorts []uint16
	// Listen makes the canaries' listeners; nil is net.Listen. It is there to break canaries on purpose.
	Listen func(network, address string) (net.Listener, error)
}

const (
	defaultAttempts = 2
	// defaultBudget is three times what the slowest honest denial took in smolvm's own tests, which demand one within 2 s on a
	// loaded machine; an accepted refusal comes in well under it.
	defaultBudget = 1500 * time.Millisecond
	defaultGrace  = 50 * time.Millisecond
	// slowFactor is how much longer a silent target is listened to before silence counts.
	slowFactor = 3
	// maxDenials bounds Options.Attempts.
	maxDenials = 20
)

func (o Options) withDefaults() Options {
	if o.Attempts <= 0 {
		o.Attempts = defaultAttempts
	}
	o.Attempts = min(o.Attempts, maxDenials)
	if o.Budget <= 0 {
		o.Budget = defaultBudget
	}
	if o.Grace <= 0 {
		o.Grace = defaultGrace
	}
	if o.Listen == nil {
		o.Listen = net.Listen
	}
	return o
}

func (s Site) hostLoopback() []netip.Addr {
	if s.HostLoopback == nil {
		return []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, 1}), netip.IPv6Loopback()}
	}
	return s.HostLoopback
}
