package smoke_test

import (
	"testing"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"bottle.internal/bottletest"
	"bottle.internal/suites/internal/fixture"
)

func TestSmoke(t *testing.T) {
	RegisterFailHandler(Fail)
	RunSpecs(t, "smoke")
}

// hostMarker is in this process's environment and must not be in the guest's.
const hostMarker = "BOTTLE_SMOKE_MARKER"

var bottle *bottletest.Bottle

var _ = BeforeSuite(func(ctx SpecContext) {
	GinkgoT().Setenv(hostMarker, "host-only")
	bottle = fixture.Boot(ctx, bottletest.Config{Name: "smoke"})
})
