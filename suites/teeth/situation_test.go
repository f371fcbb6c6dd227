package teeth_test

import (
	"os"
	"path/filepath"
	"slices"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"bottle.internal/bottletest"
	"bottle.internal/probes"
	"bottle.internal/smolvm"
	"bottle.internal/suites/internal/claims"
	"bottle.internal/suites/internal/fixture"
	"bottle.internal/suites/match"
)

// The launch flow that this kit starts from made its guest by "machine create --from PACK --allow-cidr BUNDLE/32" and dialled ports 9
// and 9099, where nothing listened. smolvm 0.8.0 to 1.7.7 drops the policy of such a machine without a word, and without --net does not
// even turn its network on (smolvm v0.8.0 run_from_smolmachine), so every dial failed and every check was green.
var _ = Describe("the launch flow that this kit starts from", Label("teeth"), Ordered, func() {
	var pack string
	BeforeAll(func(ctx SpecContext) { pack = packOfABareGuest(ctx) }, NodeTimeout(mutantLimit))

	if !dropsThePolicyOfAPack(os.Getenv("SMOLVM_SIM_VERSION")) {
		for _, c := range claims.Isolation {
			It("holds on this release, which keeps the policy: "+c.Name, func(ctx SpecContext) {
				bottle := fixture.Broken(ctx, flow(pack, true))
				expectContained(ctx, bottle, c)
			}, NodeTimeout(mutantLimit))
		}
		return
	}

	situation("--from with --allow-cidr", &pack, false, dead, []claims.Claim{claims.LoopbackDiscard, claims.EgressPort}, probes.Inconclusive)
	situation("--from with --allow-cidr, live canaries", &pack, false, alive, claims.Isolation, probes.Inconclusive)
	situation("--from with --allow-cidr and --net", &pack, true, dead, []claims.Claim{claims.LoopbackDiscard, claims.EgressPort}, probes.Inconclusive)
	situation("--from with --allow-cidr and --net, live canaries", &pack, true, alive, loopback, probes.Leak)

	Context("through the API, which takes a pack and a policy together", Ordered, func() {
		var bottle *bottletest.Bottle
		BeforeAll(func(ctx SpecContext) {
			bottle = fixture.Boot(ctx, bottletest.Config{Name: "flow", Image: pack, Daemons: claims.EgressPort.Daemons})
		}, NodeTimeout(mutantLimit))
		for _, c := range claims.Isolation {
			It("holds: "+c.Name, func(ctx SpecContext) { expectContained(ctx, bottle, c) }, NodeTimeout(mutantLimit))
		}
	})
})

// What listens where the claims dial.
const (
	dead  = false // nothing, on ports 9 and 9099 alike
	alive = true
)

// situation launches the flow once and wants every claim about it to get the verdict.
func situation(name string, pack *string, net, listening bool, about []claims.Claim, want probes.Verdict) {
	Context(name, Ordered, func() {
		var bottle *bottletest.Bottle
		BeforeAll(func(ctx SpecContext) {
			config := flow(*pack, net)
			if !listening {
				config.Daemons = []string{"proxy"}
			}
			bottle = fixture.Broken(ctx, config)
			fixture.Record(fixture.Entry, bottle.Describe())
		}, NodeTimeout(mutantLimit))

		It("is not let through by the launch gate", func() {
			gate := bottle.Gate()
			Expect(gate.ExitCode()).NotTo(BeZero(), gate.String())
		})
		for _, c := range about {
			It("does not pass "+c.Name, func(ctx SpecContext) {
				if !listening {
					c.Options.Listen = listenThenClose
				}
				finding, err := c.Finding(ctx, bottle)
				Expect(err).NotTo(HaveOccurred())
				fixture.Record("broken", broken{name, c.Name, bottle.Plan().Engine, finding.Verdict, finding.Reason})
				Expect(finding).To(match.HaveVerdict(want))
			}, NodeTimeout(mutantLimit))
		}
	})
}

// flow is the bottle of that flow. The client refuses to write such a command line, so it is rewritten behind the client's back.
func flow(pack string, net bool) bottletest.Config {
	return bottletest.Config{
		Name: "flow", Daemons: claims.EgressPort.Daemons, Ungated: true,
		Rewrite: func(args []string) []string {
			if !slices.Contains(args, "--allow-cidr") {
				return args
			}
			if !net {
				args = slices.DeleteFunc(args, func(a string) bool { return a == "--net" })
			}
			return slices.Insert(args, 2, "--from", pack)
		},
	}
}

func dropsThePolicyOfAPack(release string) bool {
	v, err := smolvm.ParseVersion(release)
	return err == nil && !v.AtLeast(1, 8, 0)
}

func expectContained(ctx SpecContext, bottle *bottletest.Bottle, c claims.Claim) {
	GinkgoHelper()
	finding, err := c.Finding(ctx, bottle)
	Expect(err).NotTo(HaveOccurred())
	Expect(finding).To(match.BeContained())
}

// packOfABareGuest packs the stopped guest of a bottle, which needs no registry.
func packOfABareGuest(ctx SpecContext) string {
	GinkgoHelper()
	bottle := fixture.Broken(ctx, bottletest.Config{Name: "pack"})
	Expect(bottle.Client().Stop(ctx, bottle.Plan().Machine)).To(Succeed())
	pack, err := bottle.Client().PackCreate(ctx, smolvm.PackOptions{
		FromMachine: bottle.Plan().Machine, Output: filepath.Join(GinkgoT().TempDir(), "guest"),
	})
	Expect(err).NotTo(HaveOccurred())
	Expect(bottle.Close(ctx)).To(Succeed())
	return pack
}
