package loopbackrefused_test

import (
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"bottle.internal/suites/internal/claims"
	"bottle.internal/suites/match"
)

const specLimit = 30 * time.Second

// The claim is the verdict, whatever the backend's errno: EACCES on tsi, a RST on virtio-net. The verdict needs a live canary
// on the host's loopback, a guest network that is known to work in the same window, and a canary that never saw a nonce.
var _ = DescribeTable("a listener on the host's loopback stays out of the guest's reach", Label("loopback-refused"),
	func(ctx SpecContext, c claims.Claim) {
		finding, err := c.Finding(ctx, bottle)
		Expect(err).NotTo(HaveOccurred())
		Expect(finding).To(match.BeContained())
	},
	Entry("on 127.0.0.1", claims.LoopbackV4, NodeTimeout(specLimit)),
	Entry("on ::1", claims.LoopbackV6, NodeTimeout(specLimit)),
	Entry("on port 9, with a canary there", claims.LoopbackDiscard, NodeTimeout(specLimit)),
)
