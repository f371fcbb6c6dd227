package loopbackrefused_test

import (
	"testing"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"bottle.internal/bottletest"
	"bottle.internal/suites/internal/fixture"
)

func TestLoopbackRefused(t *testing.T) {
	RegisterFailHandler(Fail)
	RunSpecs(t, "loopback-refused")
}

var bottle *bottletest.Bottle

var _ = BeforeSuite(func(ctx SpecContext) { bottle = fixture.Boot(ctx, bottletest.Config{Name: "loopback"}) })
