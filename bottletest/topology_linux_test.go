package bottletest

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/testcontainers/testcontainers-go"

	"bottle.internal/bundle"
	"bottle.internal/probes"
)

// aliasCombinations are the ways to an alias: what runs the bundle, and whose loopback the guest has.
func aliasCombinations(t *testing.T, do func(t *testing.T, cfg Config)) {
	for _, runtime := range []BundleRuntime{Container, Machine} {
		for _, version := range []string{"0.8.0", "1.9.3"} {
			t.Run(fmt.Sprintf("%s %s", runtime, version), func(t *testing.T) {
				t.Parallel()
				cfg := Config{
					Name: "alias", Engine: Simulator, Sim: SimConfig{Version: version}, Topology: Alias, BundleRuntime: runtime,
					Daemons: []string{"proxy", "egress"}, Artifacts: t.TempDir(),
				}
				do(t, cfg)
			})
		}
	}
}

func TestAliasHolds(t *testing.T) {
	aliasCombinations(t, func(t *testing.T, cfg Config) {
		b := Start(t, cfg)
		if d := b.Describe(); d.Topology != "alias" || !strings.HasPrefix(d.Bundle, string(cfg.BundleRuntime)) {
			t.Errorf("it says of itself: %s", d)
		}
		p := b.Plan()
		if p.Bundle.IsLoopback() != (p.Backend == "tsi") || p.Bundle == netip.MustParseAddr("127.0.0.1") || len(p.Exposed) == 0 {
			t.Errorf("%s", p)
		}
		rep, err := b.Probe(t.Context(), "net.tcp.allowed.v4", "net.tcp.loopback.v?", "net.tcp.testnet.v4", "proxy.admin-surface")
		if err != nil || rep.ExitCode() != 0 {
			t.Errorf("%v\n%s", err, rep)
		}
		f, err := b.Dial(t.Context(), p.At(proxyPort), probes.Reach)
		if err != nil || f.Verdict != probes.Contained {
			t.Errorf("the proxy at %s: %v, %v", p.At(proxyPort), f, err)
		}
		attached, err := Attach(t.Context(), Config{Engine: Simulator, Sim: cfg.Sim}, p.Machine)
		if err != nil {
			t.Fatal(err)
		}
		if rep, err = attached.Probe(t.Context(), "net.tcp.allowed.v4", "net.tcp.loopback.v4", "proxy.admin-surface"); err != nil || rep.ExitCode() != 0 {
			t.Errorf("attached: %v\n%s", err, rep)
		}
		if err := b.Close(t.Context()); err != nil {
			t.Error(err)
		}
		if l, err := b.plan.Bundle, unrouted(p.Bundle); err != nil && !l.IsLoopback() {
			t.Errorf("the address outlives the bottle: %v", err)
		}
	})
}

// TestPublishedEgressLeaks breaks the bottle as far as a bottle with an alias can be broken about its egress: bound to every
// address of the bundle, and published. On a host where something has the daemon's number already it is published under another.
func TestPublishedEgressLeaks(t *testing.T) {
	aliasCombinations(t, func(t *testing.T, cfg Config) {
		cfg.Ungated = true
		cfg.Publish = []uint16{egressPort}
		cfg.BundleOptions = []testcontainers.ContainerCustomizer{
			bundle.WithListen("egress", netip.AddrPortFrom(netip.IPv4Unspecified(), egressPort)),
		}
		b := Start(t, cfg)
		rep, err := b.Probe(t.Context(), "proxy.admin-surface")
		if err != nil {
			t.Fatal(err)
		}
		if rep.Worst() != probes.Leak {
			t.Errorf("an egress daemon that the guest can dial is no leak:\n%s", rep)
		}
	})
}
