package egressportbypass_test

import (
	"net/netip"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"bottle.internal/bundle"
	"bottle.internal/probes"
	"bottle.internal/suites/internal/claims"
	"bottle.internal/suites/match"
)

const (
	specLimit  = 30 * time.Second
	proxyPort  = 8888
	egressPort = 9099
)

// smolvm filters by address, not by port: every port of the bundle is in the guest's reach. What keeps a guest from the egress
// daemon, which holds the credentials, is that it listens on the bundle's loopback only, and in topology alias that its port is
// not published; so that is what must hold, with the daemon up.
var _ = Describe("the bundle's egress port", Label("egress-port-bypass"), func() {
	It("is beside a proxy that the guest does reach", func(ctx SpecContext) {
		finding, err := bottle.Dial(ctx, bottle.Plan().At(proxyPort), probes.Reach)
		Expect(err).NotTo(HaveOccurred())
		Expect(finding).To(match.HaveVerdict(probes.Contained), "the proxy answers with the bundle's proof")
	}, NodeTimeout(specLimit))

	It("is up, on the bundle's loopback", func(ctx SpecContext) {
		listeners, err := bottle.Listeners(ctx)
		Expect(err).NotTo(HaveOccurred())
		Expect(tcp(listeners, egressPort)).To(ConsistOf(netip.MustParseAddr("127.0.0.1")))
		Expect(tcp(listeners, bottle.Plan().ListensOn(proxyPort))).NotTo(BeEmpty())
		inside := netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), egressPort)
		Expect(bottle.BundleEcho(ctx, inside)).To(Succeed())
	}, NodeTimeout(specLimit))

	It("stays out of the guest's reach", func(ctx SpecContext) {
		finding, err := claims.EgressPort.Finding(ctx, bottle)
		Expect(err).NotTo(HaveOccurred())
		Expect(finding).To(match.BeContained())
	}, NodeTimeout(specLimit))
})

// tcp are the addresses on which something listens on port.
func tcp(all []bundle.Listener, port uint16) []netip.Addr {
	var addrs []netip.Addr
	for _, l := range all {
		if l.Network == "tcp" && l.Addr.Port() == port {
			addrs = append(addrs, l.Addr.Addr())
		}
	}
	return addrs
}
