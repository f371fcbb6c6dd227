package egressportbypass_test

import (
	"testing"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"bottle.internal/bottletest"
	"bottle.internal/suites/internal/claims"
	"bottle.internal/suites/internal/fixture"
)

func TestEgressPortBypass(t *testing.T) {
	RegisterFailHandler(Fail)
	RunSpecs(t, "egress-port-bypass")
}

var bottle *bottletest.Bottle

var _ = BeforeSuite(func(ctx SpecContext) {
	bottle = fixture.Boot(ctx, bottletest.Config{Name: "egress", Daemons: claims.EgressPort.Daemons})
})
