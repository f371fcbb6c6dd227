package suites

import (
	"fmt"
	"time"

	"github.com/onsi/ginkgo/v2"
	"github.com/onsi/gomega"

	"bottle.internal/bottletest"
	"bottle.internal/probes"
	"bottle.internal/probes/profiles"
)

// probeLimit bounds the one batch of the whole catalogue, its controls and its twin, and the scenes.
const probeLimit = 3 * time.Minute

// An Option changes what Register asks of a bottle.
type Option func(*catalogue)

// WithProfile holds what was found against p instead of the profile of the bottle's smolvm release: what is demanded, and which leaks
// are known.
func WithProfile(p profiles.Profile) Option {
	return func(c *catalogue) { c.profile = &p }
}

// WithOptions runs the probes with o; without it the scenes are played (probes.Options.Scenes) and the rest is the default.
func WithOptions(o probes.Options) Option {
	return func(c *catalogue) { c.options = o }
}

// A catalogue is the whole of probes about one bottle.
type catalogue struct {
	launch  func() *bottletest.Bottle
	profile *profiles.Profile
	options probes.Options
	report  probes.Report
}

// Register declares the whole catalogue as specs, one for each probe, about the bottle that launch returns. It is called while the
// tree of specs is built, and launch once, when the specs run; whoever launches also ends the bottle. All probes run in one batch
// before the first spec, and the scenes after it: they stop and start the guest and its sidecar, so what ran in the guest is lost,
// unless WithOptions rules them out. A bottle without Config.Twin is held against the profile's demands without control C3, and strict demands
// it. In one without Config.ProxyOrigin nothing is known of what its proxy allows: those probes are not applicable.
//
// A spec passes if its probe is contained with the assurance that is demanded, if what leaks is waived by name and not yet out of
// date, or if the probe means nothing here and the finding says why. Inconclusive is not a pass.
func Register(launch func() *bottletest.Bottle, options ...Option) bool {
	c := &catalogue{launch: launch, options: probes.Options{Scenes: true}}
	for _, o := range options {
		o(c)
	}
	return ginkgo.Describe("the catalogue", ginkgo.Ordered, ginkgo.ContinueOnFailure, ginkgo.Label("conformance"), func() {
		ginkgo.BeforeAll(c.run, ginkgo.NodeTimeout(probeLimit))
		for _, p := range probes.All() {
			ginkgo.It(p.ID, ginkgo.Label(p.Family, string(p.Severity)), func() { c.check(p) })
		}
		ginkgo.It("says something as a whole", func() { gomega.Expect(c.report.Invalid).To(gomega.BeEmpty()) })
	})
}

func (c *catalogue) run(ctx ginkgo.SpecContext) {
	b := c.launch()
	report, err := b.ProbeWith(ctx, c.options)
	gomega.Expect(err).NotTo(gomega.HaveOccurred())
	profile := profiles.For(report.Version)
	if c.profile != nil {
		profile = *c.profile
	}
	report, notices := profile.Apply(report, time.Now())
	for _, n := range notices {
		ginkgo.AddReportEntry("waiver", n.String(), ginkgo.ReportEntryVisibilityFailureOrVerbose)
	}
	c.report = report
}

func (c *catalogue) check(p probes.Probe) {
	ginkgo.GinkgoHelper()
	f, err := c.report.Finding(p.ID)
	gomega.Expect(err).NotTo(gomega.HaveOccurred())
	ginkgo.AddReportEntry("verdict", fmt.Sprintf("%s %s: %s", f.Verdict, f.Assurance, f.Reason), ginkgo.ReportEntryVisibilityFailureOrVerbose)
	switch f.Verdict {
	case probes.Contained:
	case probes.Exposed:
		gomega.Expect(f.Waivers).NotTo(gomega.BeEmpty(), "exposed without a waiver:\n%s", f)
	case probes.NotApplicable:
		gomega.Expect(f.Reason).NotTo(gomega.BeEmpty(), "not applicable without evidence")
	default:
		ginkgo.Fail(f.String())
	}
}
