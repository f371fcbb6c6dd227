// Package claims is the list of isolation claims that the suites assert on a sound bottle and that teeth wants to see fail on
// broken ones. A claim lives here once, so that what is shown to have teeth is what the suites run.
package claims

import (
	"context"

	"bottle.internal/bottletest"
	"bottle.internal/probes"
)

// A Claim is one probe with its options, and the bottle it is made about.
type Claim struct {
	// Name is suite and spec, such as "loopback-refused/v4".
	Name string
	// Probe is the id in the catalogue.
	Probe string
	// Options are the probe's; zero is the default.
	Options probes.Options
	// Daemons are what the claim needs in the bundle.
	Daemons []string
}

// discard is the port that the first version of this claim dialled, with nobody listening there in any configuration.
const discard = 9

var (
	// LoopbackV4 claims that a listener on the host's 127.0.0.1 stays out of the guest's reach.
	LoopbackV4 = Claim{Name: "loopback-refused/v4", Probe: "net.tcp.loopback.v4"}
	// LoopbackV6 claims it of ::1.
	LoopbackV6 = Claim{Name: "loopback-refused/v6", Probe: "net.tcp.loopback.v6"}
	// LoopbackDiscard claims it of port 9, with a canary there.
	LoopbackDiscard = Claim{Name: "loopback-refused/port-9", Probe: "net.tcp.loopback.v4", Options: probes.Options{LoopbackPorts: []uint16{discard}}}
	// EgressPort claims that the egress daemon, up on the bundle's loopback, stays out of the guest's reach although the
	// bundle's address is allowed on every port.
	EgressPort = Claim{Name: "egress-port-bypass/9099", Probe: "proxy.admin-surface", Daemons: []string{"proxy", "egress"}}
)

// Isolation are all claims that a broken bottle has to turn red.
var Isolation = []Claim{LoopbackV4, LoopbackV6, LoopbackDiscard, EgressPort}

// Finding runs the claim's probe on b and returns what was found.
func (c Claim) Finding(ctx context.Context, b *bottletest.Bottle) (probes.Finding, error) {
	rep, err := b.ProbeWith(ctx, c.Options, c.Probe)
	if err != nil {
		return probes.Finding{}, err
	}
	return rep.Finding(c.Probe)
}
