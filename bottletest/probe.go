package bottletest

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"

	"bottle.internal/probes"
	"bottle.internal/probes/agent"
	"bottle.internal/smolvm"
)

const (
	// agentDir is where the kit's own files live in a guest.
	agentDir  = "/.bottle"
	agentPath = agentDir + "/agent"
	// agentLimit bounds one batch: 64 flows in flight, a few seconds each at the worst.
	agentLimit = 60 * time.Second
	// variableLimit is the size up to which a batch goes into the guest as a variable of the agent's, which saves a copy. smolvm lets
	// 32 KiB through.
	variableLimit = 16 << 10
	// egressPort is where the default bundle's egress daemon listens, on the bundle's loopback.
	egressPort = 9099
)

// gateProbes are what the launch gate runs: the allowed path, the host's loopback, and an address that nobody has.
var gateProbes = []string{"net.tcp.allowed.v4", "net.tcp.loopback.v4", "net.tcp.testnet.v4"}

// Probe runs the probes whose ids are given, all that apply if none is, in one batch inside the guest, and judges what came
// back. An error means that nothing could be judged; what the probes found, good or bad, is in the report.
func (b *Bottle) Probe(ctx context.Context, ids ...string) (probes.Report, error) {
	return b.ProbeWith(ctx, probes.Options{}, ids...)
}

// ProbeWith is Probe with the number of attempts, the budget and the ports chosen.
func (b *Bottle) ProbeWith(ctx context.Context, opts probes.Options, ids ...string) (probes.Report, error) {
	opts = b.withKills(ctx, opts)
	return b.withCanary(ctx, func(site probes.Site) (probes.Report, error) { return probes.Run(ctx, site, opts, ids...) })
}

// Dial makes one ad-hoc probe of addr and returns what was found. With probes.Contain addr must stay out of the guest's reach,
// and a canary is brought up there for it if addr is this host's; with probes.Reach it must answer with the bundle's proof.
func (b *Bottle) Dial(ctx context.Context, addr netip.AddrPort, expect probes.Expect) (probes.Finding, error) {
	rep, err := b.DialReport(ctx, addr, expect)
	if err != nil {
		return probes.Finding{}, err
	}
	return rep.Finding(probes.DialID)
}

// DialReport is Dial with the whole report.
func (b *Bottle) DialReport(ctx context.Context, addr netip.AddrPort, expect probes.Expect) (probes.Report, error) {
	return b.DialTarget(ctx, probes.Target{Addr: addr}, expect)
}

// DialTarget is DialReport of a target of which more may be known than its address: that it takes datagrams, what it proves.
func (b *Bottle) DialTarget(ctx context.Context, target probes.Target, expect probes.Expect) (probes.Report, error) {
	return b.withCanary(ctx, func(site probes.Site) (probes.Report, error) {
		if addr := target.Addr; addr.Addr() == b.plan.Bundle && !target.UDP && target.Alive == nil {
			target.Secret, target.Sightings = b.secret, b.side.sightings
			target.Alive = func(ctx context.Context) error { return b.BundleEcho(ctx, b.plan.behind(addr)) }
		}
		return probes.Dial(ctx, site, probes.Options{}, target, expect)
	})
}

// withCanary opens the live end of the allowed path for as long as do probes.
func (b *Bottle) withCanary(ctx context.Context, do func(probes.Site) (probes.Report, error)) (probes.Report, error) {
	if b.closed.Load() {
		return probes.Report{}, ErrClosed
	}
	if b.side == nil {
		return b.withControl(ctx, do)
	}
	canary, err := b.side.canary(ctx)
	if err != nil {
		return probes.Report{}, fmt.Errorf("bottletest: a canary inside the bundle: %w", err)
	}
	defer func() { _ = canary.Close() }()
	rep, err := do(b.site(canary))
	if err == nil {
		b.cfg.logf("probes:\n%s", rep)
	}
	return rep, err
}

// site tells the prober what it must know of this bottle, and nothing of how it was made.
func (b *Bottle) site(c bundleCanary) probes.Site {
	return probes.Site{
		Engine: "smolvm", Version: b.engine.version.String(), Simulated: b.engine.version.Simulated,
		Backend: string(b.plan.Backend), Topology: string(b.plan.Topology),
		Asked:        b.plan.Asked(),
		Effective:    effectiveText(b.plan),
		Exposed:      b.plan.exposedText(),
		Allow:        b.plan.Allow,
		Unasked:      unasked(b.engine.version, b.plan),
		Again:        b.again,
		Run:          b.runAgent,
		Allowed:      b.allowedTarget(c),
		HostLoopback: hostLoopback(b.plan.Backend),
		Closed:       b.closedTargets(),
		World:        b.world,
		Passing:      b.passing(),
		Twin:         b.twinSite(),
		Denials:      b.denials(),
		Refusals:     b.refusals,
		Proxy:        b.proxySite(),
		Planted:      b.plantedTexts(),
		Declared:     b.declared(),
		Restart:      b.restarter(),
		Peer:         b.peers(),
		Pack:         b.packs(),
		Lacking:      b.lacking(),
		Record:       b.recorded,
		Sidecar:      b.confinement(),
		Sibling:      b.siblings(),
		Withheld:     b.withheld(),
	}
}

// effectiveText is what is known of the policy in force, and how, and what the release adds unasked.
func effectiveText(p Plan) []string {
	var text []string
	for _, prefix := range p.Besides {
		text = append(text, fmt.Sprintf("allow %s (added by %s, unasked)", prefix, p.Engine))
	}
	if p.Policy != "" {
		text = append(text, p.Policy)
	}
	return text
}

// hostLoopback is how a guest can spell the host's loopback. On tsi a guest's own loopback connect asks the host when nothing
// in the guest listens; on virtio-net the gateway's address is dialled as the host's loopback (smolvm v1.7.2 tcp_relay.rs),
// and the guest's 127.0.0.1 is only its own.
func hostLoopback(b smolvm.Backend) []netip.Addr {
	addrs := []netip.Addr{netip.MustParseAddr("127.0.0.1"), netip.IPv6Loopback()}
	if b == smolvm.VirtioNet {
		addrs = append(addrs, netip.MustParseAddr("100.96.0.1"), netip.MustParseAddr("fd53:4d00::1"))
	}
	return addrs
}

// allowedTarget is the live end of the allowed path.
func (b *Bottle) allowedTarget(c bundleCanary) probes.Target {
	addr, inside := b.plan.At(canaryPort), b.plan.inside(canaryPort)
	if own, ok := c.(addressedCanary); ok && b.plan.Topology == Bridge {
		addr, inside = own.Addr(), own.Addr()
	}
	return probes.Target{
		Name: "bundle canary", Addr: addr, Secret: b.secret,
		Alive:     func(ctx context.Context) error { return b.BundleEcho(ctx, inside) },
		Sightings: c.Sightings,
	}
}

// closedTargets are listeners of the bundle that the guest must not reach although they share the allowed address: the egress
// daemon of the default bundle, which lives on the bundle's loopback only. It is a target whether it was started or not: where
// it does not run nothing was proved, and the probe has to say so.
//
// In topology bridge its binding is the wall: the guest dials the very port on the bundle's own address. In topology alias the
// wall is that its port is not published, so what is dialled is the number at the alias, where nothing of the bundle's answers,
// and a refusal alone would show nothing: a bundle broken by publishing it could do so under any number. So wherever
// the plan publishes the port is dialled as well, and nothing else can have been published: the launch fails where a container
// engine published anything unasked, and a machine publishes what it was created with. A bottle with
// the daemon on 0.0.0.0 and its port in Config.Publish is what turns this red. The control is honest about the difference: it
// dials the daemon where it is, inside the bundle, and the name in the report says that this is not what the guest dialled.
func (b *Bottle) closedTargets() []probes.Target {
	if b.cfg.BundleImage != "" {
		return nil
	}
	var all []probes.Target
	for _, at := range b.egressAddresses() {
		all = append(all, probes.Target{
			Name: b.egressName(), Addr: at, Secret: b.secret,
			Alive:     func(ctx context.Context) error { return b.BundleEcho(ctx, egressInside) },
			Sightings: b.side.sightings,
			Binding:   b.egressBinding,
		})
	}
	return all
}

// egressBinding says where the egress daemon is bound, by the kernel of the bundle.
func (b *Bottle) egressBinding(ctx context.Context) (string, error) {
	all, err := b.side.listeners(ctx)
	if err != nil {
		return "", err
	}
	found := false
	for _, l := range all {
		if !strings.HasPrefix(l.Network, "tcp") || l.Addr.Port() != egressPort {
			continue
		}
		if !l.Addr.Addr().IsLoopback() {
			return "", fmt.Errorf("it listens on %s", l.Addr)
		}
		found = true
	}
	if !found {
		return "", errors.New("nothing listens on its port")
	}
	return fmt.Sprintf("the bundle's kernel has it at %s and nowhere else", egressInside), nil
}

// egressInside is where the egress daemon is, in the bundle.
var egressInside = netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), egressPort)

// egressAddresses are where a guest would look for it: under its own number, and where that number is published.
func (b *Bottle) egressAddresses() []netip.AddrPort {
	all := []netip.AddrPort{netip.AddrPortFrom(b.plan.Bundle, egressPort)}
	if at := b.plan.At(egressPort); at != all[0] {
		all = append(all, at)
	}
	return all
}

func (b *Bottle) egressName() string {
	if b.plan.Topology == Bridge {
		return "bundle egress"
	}
	if _, published := b.plan.Ports[egressPort]; published {
		return fmt.Sprintf("bundle egress (%s in the bundle, published at %s)", egressInside, b.plan.At(egressPort))
	}
	return fmt.Sprintf("bundle egress (%s in the bundle, published nowhere)", egressInside)
}

// runAgent carries one batch into the guest and its answer out. What comes back is untrusted.
func (b *Bottle) runAgent(ctx context.Context, request []byte) ([]byte, error) {
	return b.runAgentIn(ctx, b.plan.Machine, request)
}

func (b *Bottle) runAgentIn(ctx context.Context, machine string, request []byte) ([]byte, error) {
	// Without the proxy variables: the agent dials by itself, and what it dials is the question.
	cmd := smolvm.Command{Argv: []string{agentPath}, Timeout: agentLimit, Waiter: agentPath}
	if len(request) <= variableLimit {
		cmd.Env = []string{agent.RequestVariable + "=" + string(request)}
	} else {
		guest := fmt.Sprintf("%s/request-%d.json", agentDir, b.batches.Add(1))
		if err := b.copyIn(ctx, machine, request, guest); err != nil {
			return nil, err
		}
		cmd.Argv = append(cmd.Argv, guest)
	}
	res, err := b.engine.client.Exec(ctx, machine, cmd)
	if err != nil {
		return nil, err
	}
	if res.ExitCode != 0 {
		return nil, fmt.Errorf("the agent exits %d: %.300s", res.ExitCode, res.Stderr)
	}
	return res.Stdout, nil
}

// copyIn makes content the file at path of a machine.
func (b *Bottle) copyIn(ctx context.Context, machine string, content []byte, path string) error {
	dir, err := os.MkdirTemp("", "bottle-batch-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	host := filepath.Join(dir, "request.json")
	if err := os.WriteFile(host, content, 0o600); err != nil {
		return err
	}
	return b.engine.client.CopyTo(ctx, machine, host, path, 0o644)
}
