package probes

import (
	"context"
	"net"
	"net/netip"
	"time"

	"bottle.internal/internal/echo"
	"bottle.internal/probes/agent"
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
	// Asked is the policy that was asked for, Effective what is known of the one in force beyond that, and Exposed what else of the host is
	// in reach by it, in words. All are recorded in the report.
	Asked, Effective, Exposed []string
	// Allow is all that was asked to be allowed; nil is not known. Unasked is what the engine lets through besides, or may let through.
	Allow, Unasked []netip.Prefix

	// AllowNames are the hosts that the policy lets through by name, whatever their addresses; nil is none, a policy that goes by address.
	AllowNames []string

	// Run is needed.
	Run RunFunc
	// Allowed is a live echo listener at the one allowed destination: control C2. Without it, when its Addr is zero, every
	// denial is inconclusive, unless NoNetwork stands for it.
	Allowed Target
	// NoNetwork says, for a sandbox without Allowed that is meant to have no network at all, who else than the guest sees that it has
	// none: it takes the place of control C2, for then there is no path that could be broken. It is asked after the batch; an error says
	// why nobody sees it. nil means that the sandbox is not said to be without a network.
	NoNetwork func(ctx context.Context) (string, error)
	// Borrowed says whose network the sandbox uses if that is not its own, or not known to be: what changes routes or addresses, and what is
	// sent to everybody or past the kernel's routes, would reach others, and is not applicable then. "" is a network of its own.
	Borrowed string
	// HostLoopback is how this sandbox could spell the host's loopback; nil means 127.0.0.1 and ::1.
	HostLoopback []netip.Addr
	// Closed are listeners that share an allowed address and must stay out of reach all the same.
	Closed []Target
	// Passing are addresses of this host that come and go with other sandboxes beside this one: no canary on them is sure to last.
	Passing []netip.Addr
	// Proxy is the sidecar's way out; nil means that it has none.
	Proxy *Proxy
	// Planted are texts that begin with DecoyPrefix and were put into the environment of whoever launched the sandbox, and nowhere
	// else; nil means that none was, so that nothing can be said of the environment.
	Planted []string
	// Declared is what the sandbox is said to have on purpose.
	Declared Declared
	// Twin is the same sandbox without the policy: control C3. nil means that there is none.
	Twin *Twin
	// Denials reads what the enforcer logged since then; nil means that it keeps no such log.
	Denials func(ctx context.Context, since time.Time) ([]Denial, error)
	// Refusals reads what the sidecar's proxy refused since then; nil means that its log cannot be read.
	Refusals func(ctx context.Context, since time.Time) ([]Denial, error)
	// Restart stops the sandbox and starts it again, and returns when it is started, before anything was run in it; also where ctx ends
	// meanwhile. nil means that it cannot be done, or must not.
	Restart func(ctx context.Context) error
	// Pack makes another sandbox of the same policy from a pack of this one, which it stops for that; Snapshot makes one from this one as it
	// runs. The error is ErrRefused where the engine refuses that. nil means that it cannot be done, or must not.
	Pack, Snapshot func(ctx context.Context) (*Peer, error)
	// Pause has the sandbox stand still until it is resumed. nil means that it cannot be done, or must not.
	Pause func(ctx context.Context) (Halted, error)
	// Lacking says, by the id of a scene, what the engine has not that it needs; it is recorded as the evidence for that the scene means
	// nothing here. nil says nothing.
	Lacking map[string]string
	// Peer puts another sandbox of the same engine beside this one. nil means that it cannot be done, or must not.
	Peer func(ctx context.Context, spec PeerSpec) (*Peer, error)
	// Record reads the engine's own record of the sandbox's policy; nil means that it keeps none.
	Record func(ctx context.Context) (PolicyRecord, error)
	// Sidecar tells what keeps the sidecar in, each entry by a witness of its own. nil means that nobody can tell.
	Sidecar func(ctx context.Context) ([]Confinement, error)
	// Sibling puts a canary beside the sidecar, on its network, at an address that is not allowed; end takes it away. nil means that the
	// sidecar is on no such network, or that nothing must be put there.
	Sibling func(ctx context.Context) (t Target, end func(context.Context) error, err error)
	// Networks are those that the sandbox shares with others of the engine's, by its launch record; nil is none.
	Networks []string
	// Withheld is why there are no hooks that change the sandbox or put others beside it; "" is that there is no way to.
	Withheld string
	// Again is the command that makes one such attempt from a shell, in a line; nil means that there is none.
	Again func(network agent.Network, at netip.AddrPort) string
	// World stands in for every address that is not this host's; nil means that nothing does.
	World *World
}

// A Target is a listener that a probe dials.
type Target struct {
	Name string
	Addr netip.AddrPort // as the guest would dial it
	UDP  bool           // it takes datagrams; false is TCP
	// Secret is what its proofs are made with. With the zero Secret no reply can be verified.
	Secret echo.Secret
	// Alive is control C1: it dials the listener from the listener's own position. nil means that it cannot be checked.
	Alive func(ctx context.Context) error
	// Sightings are all echoes that the listener has logged since it came up, those that Alive made among them. nil means that
	// there is no such log, so that the listener's silence cannot be shown.
	Sightings func(ctx context.Context) ([]echo.Sighting, error)
	// Binding says where the listener is bound, as its own kernel tells it, and is an error if that is where a guest could dial. It is
	// for listeners that nothing but their binding keeps from a guest; nil means that nobody can tell.
	Binding func(ctx context.Context) (string, error)
}

// A Twin is a guest from the same image on the same backend with no policy in force.
type Twin struct {
	// Run is the twin's; it may not be nil.
	Run RunFunc
	// Name is the twin's in reports.
	Name string
}

// A Denial is a line of an enforcer's own log.
type Denial struct {
	Time time.Time `json:"time"`
	Op   string    `json:"op"`   // as the enforcer calls it: connect, sendto, resolve, CONNECT
	Dest string    `json:"dest"` // ip:port, or a name with or without a port
	Rule string    `json:"rule,omitempty"`
	// Nonces are those that the one who was denied had said, where the enforcer tells: it is nobody else's denial then.
	Nonces []echo.Nonce `json:"nonces,omitempty"`
}

// Options say how probes are run. The zero Options are the defaults.
type Options struct {
	// Attempts is how often each denial is tried; the worst counts. 0 is 2.
	Attempts int
	// Budget is the time of one attempt. 0 is 1.5 s. A denial that met silence is tried once more with three times as much.
	Budget time.Duration
	// Silence is the time of one attempt by datagram, whose denial is silence. 0 is 250 ms; as with Budget, silence is listened to
	// once more for three times as long.
	Silence time.Duration
	// Serving is how long the guest listens for the host to come in, from when its listener has answered the guest itself, which may
	// take four times as long. 0 is 400 ms.
	Serving time.Duration
	// Online lets probes of public addresses run where no world stands in for them. Without it they are not applicable.
	Online bool
	// Scenes lets probes run that stop or restart the sandbox or its sidecar, or put others beside it: what runs in the sandbox meanwhile
	// is lost. Without it they are not applicable, but for those that are asked for by id.
	Scenes bool
	// Later is how long after the first look life.time looks again. 0 is 9 s.
	Later time.Duration
	// Grace is how long canaries are watched after the last attempt. 0 is 50 ms.
	Grace time.Duration
	// LoopbackPorts are ports of the host's loopback to be probed beside the ephemeral one, with a canary on each that can be
	// bound. Where one cannot, only an errno that nothing but the policy gives can show that it is out of reach.
	LoopbackPorts []uint16
	// Seed chooses what the probes of family policy.boundary draw at random; it is in the report. 0 is 1.
	Seed uint64
	// Kills are, by probe id, the mutants that the probe is on record to have killed with the kit of digest Kit: control C5.
	Kills map[string][]string
	Kit   string
	// Listen makes the canaries' listeners; nil is a plain net.Listen. It is there to break canaries on purpose.
	Listen func(network, address string) (net.Listener, error)
}

const (
	defaultAttempts = 2
	// defaultBudget is three times what the slowest honest denial took in smolvm's own tests, which demand one within 2 s on a
	// loaded machine; an accepted refusal comes in well under it.
	defaultBudget = 1500 * time.Millisecond
	defaultGrace  = 50 * time.Millisecond
	// defaultSilence is many round trips on any host, and a datagram that is not denied is one.
	defaultSilence = 250 * time.Millisecond
	defaultServing = 400 * time.Millisecond
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
	if o.Silence <= 0 {
		o.Silence = defaultSilence
	}
	if o.Serving <= 0 {
		o.Serving = defaultServing
	}
	if o.Later <= 0 {
		o.Later = defaultLater
	}
	if o.Grace <= 0 {
		o.Grace = defaultGrace
	}
	if o.Seed == 0 {
		o.Seed = defaultSeed
	}
	if o.Listen == nil {
		o.Listen = listenPlain
	}
	return o
}

func (s Site) hostLoopback() []netip.Addr {
	if s.HostLoopback == nil {
		return []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, 1}), netip.IPv6Loopback()}
	}
	return s.HostLoopback
}

// withheld is why a hook is nil: the site's reason, or else this.
func (s Site) withheld(why string) string {
	if s.Withheld != "" {
		return s.Withheld
	}
	return why
}
