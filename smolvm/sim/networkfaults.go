//go:build linux

package sim

import (
	"net/netip"
	"time"

	"bottle.internal/smolvm/sim/vnet"
)

// breakNetwork puts the defects in that were asked for.
func (f faults) breakNetwork(c *vnet.Config) {
	if f.has(faultAllowlistIgnored) {
		c.Restrict, c.Allow, c.Hosts = false, nil, nil
	}
	if f.has(faultPublishAllInterfaces) {
		c.PublishAt = []netip.Addr{netip.IPv4Unspecified(), netip.IPv6Unspecified()}
	}
	c.PublishUnasked = f.has(faultPublishUnasked) || f.has(faultLoopbackShared)
	f.misread(c)
	f.openPrefixes(c)
	c.AuditOnly = f.has(faultAuditOnly)
	c.FailOpen = f.has(faultFailOpen)
	c.FloodOpen = f.has(faultFloodOpen)
	if f.has(faultOtherBackend) && c.Restrict {
		c.Backend = vnet.TSI
	}
	c.OpenUDP = f.has(faultUDPUnfiltered)
	c.OpenIPv6 = f.has(faultIPv6Unfiltered)
	c.OpenResolver = f.has(faultResolverOpen)
}

// lateBy is how late faultPolicyLate is: many times what a first command takes to come.
const lateBy = 2 * time.Second

// lapseIn is how long after its first stops faultPolicyLapses leaves a policy: longer than one look at it takes.
const lapseIn = 8 * time.Second

// breakPack puts in the defects of a machine that is made from a pack.
func (f faults) breakPack(c *vnet.Config, r record) {
	if f.has(faultPackForgets) && r.Pack != "" {
		c.Restrict, c.Allow, c.Hosts = false, nil, nil
	}
}

// breakRestart puts in the defects of a start that is not the first of its machine.
func (f faults) breakRestart(c *vnet.Config, again bool) {
	if f.has(faultPolicyLost) && again {
		c.Restrict, c.Allow, c.Hosts = false, nil, nil
	}
	if f.has(faultPolicyLate) {
		c.OpenFor = lateBy
	}
	if f.has(faultPolicyLapses) {
		c.Lapse = lapseIn
	}
}

// breakEmpty takes a policy that lets nothing through for no policy.
func (f faults) breakEmpty(c *vnet.Config, r record) {
	if f.has(faultEmptyOpen) && r.Policy && len(r.Allow) == 0 && len(r.Hosts) == 0 {
		c.Restrict, c.Allow = false, nil
	}
}
