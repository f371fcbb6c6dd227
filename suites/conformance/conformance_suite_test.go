package conformance_test

import (
	"testing"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"bottle.internal/bottletest"
	"bottle.internal/suites"
	"bottle.internal/suites/internal/fixture"
)

func TestConformance(t *testing.T) {
	RegisterFailHandler(Fail)
	RunSpecs(t, "conformance")
}

var bottle *bottletest.Bottle

var _ = BeforeSuite(func(ctx SpecContext) {
	bottle = fixture.Boot(ctx, bottletest.Config{Name: "conformance", Daemons: []string{"proxy", "egress"}, ProxyOrigin: true, Twin: true})
})

var _ = suites.Register(func() *bottletest.Bottle { return bottle })
