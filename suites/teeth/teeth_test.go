package teeth_test

import (
	"net"
	"net/netip"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"bottle.internal/bottletest"
	"bottle.internal/bundle"
	"bottle.internal/probes"
	"bottle.internal/suites/internal/claims"
	"bottle.internal/suites/internal/fixture"
	"bottle.internal/suites/match"
)

const mutantLimit = 90 * time.Second

// A mutant is a bottle broken in one way, and what a claim's probe must say of it.
type mutant struct {
	name string
	// breaks edits the bottle before launch and the claim's options before the probe.
	breaks func(*bottletest.Config, *probes.Options)
	claims []claims.Claim
	// want are the verdicts that are right; every one of them is red.
	want []probes.Verdict
}

var loopback = []claims.Claim{claims.LoopbackV4, claims.LoopbackV6, claims.LoopbackDiscard}

// The published failures of the launch flow this project started from are among them: the allowlist dropped without a word
// (smolvm v0.8.0 run_from_smolmachine), a guest without a network, nothing listening where the probe dialled.
var mutants = []mutant{
	{
		name:   "allowlist ignored",
		breaks: func(c *bottletest.Config, _ *probes.Options) { c.Sim.Faults = []string{"allowlist-ignored"} },
		claims: loopback, want: []probes.Verdict{probes.Leak},
	},
	{
		name:   "guest without network",
		breaks: func(c *bottletest.Config, _ *probes.Options) { c.Sim.Faults = []string{"no-network"} },
		claims: claims.Isolation, want: []probes.Verdict{probes.Inconclusive},
	},
	{
		name: "egress bound to 0.0.0.0",
		breaks: func(c *bottletest.Config, _ *probes.Options) {
			c.BundleOptions = append(c.BundleOptions, bundle.WithListen("egress", netip.MustParseAddrPort("0.0.0.0:9099")))
			c.Publish = append(c.Publish, 9099) // in topology alias a daemon that is not published is out of reach wherever it listens
		},
		claims: []claims.Claim{claims.EgressPort}, want: []probes.Verdict{probes.Leak},
	},
	{
		name:   "egress not running",
		breaks: func(c *bottletest.Config, _ *probes.Options) { c.Daemons = []string{"proxy"} },
		claims: []claims.Claim{claims.EgressPort}, want: []probes.Verdict{probes.Inconclusive},
	},
	{
		name:   "canary down",
		breaks: func(_ *bottletest.Config, o *probes.Options) { o.Listen = listenThenClose },
		claims: loopback, want: []probes.Verdict{probes.Inconclusive},
	},
	{
		name:   "agent that lies",
		breaks: func(c *bottletest.Config, _ *probes.Options) { c.Agent = idleLiar },
		claims: claims.Isolation, want: []probes.Verdict{probes.Inconclusive},
	},
	{
		name: "allowlist ignored and an agent that lies",
		breaks: func(c *bottletest.Config, _ *probes.Options) {
			c.Sim.Faults, c.Agent = []string{"allowlist-ignored"}, busyLiar
		},
		claims: loopback, want: []probes.Verdict{probes.Leak},
	},
}

// listenThenClose takes the port of a canary and gives it back, so that the canary's address exists and nothing listens there.
func listenThenClose(network, address string) (net.Listener, error) {
	l, err := net.Listen(network, address)
	if err == nil {
		err = l.Close()
	}
	return l, err
}

// A broken is what teeth reports of one claim about one broken bottle.
type broken struct {
	Mutant      string         `json:"mutant"`
	Claim       string         `json:"spec"`
	Personality string         `json:"personality"`
	Verdict     probes.Verdict `json:"verdict"`
	Reason      string         `json:"reason"`
}

var _ = Describe("a broken bottle", Label("teeth"), func() {
	for _, m := range mutants {
		Context(m.name, Ordered, func() {
			var bottle *bottletest.Bottle
			var config bottletest.Config
			var options probes.Options

			BeforeAll(func(ctx SpecContext) {
				config = bottletest.Config{Name: "teeth", Daemons: claims.EgressPort.Daemons}
				m.breaks(&config, &options)
				bottle = fixture.Broken(ctx, config)
				fixture.Record(fixture.Entry, bottle.Describe())
			}, NodeTimeout(mutantLimit))

			for _, c := range m.claims {
				It("does not pass "+c.Name, func(ctx SpecContext) {
					c.Options.Listen = options.Listen
					finding, err := c.Finding(ctx, bottle)
					Expect(err).NotTo(HaveOccurred())
					fixture.Record("broken", broken{m.name, c.Name, bottle.Plan().Engine, finding.Verdict, finding.Reason})
					Expect(finding).To(match.TurnRed())
					Expect(m.want).To(ContainElement(finding.Verdict), finding.Reason)
				}, NodeTimeout(mutantLimit))
			}
		})
	}
})
