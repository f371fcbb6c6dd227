package probes

import "context"

const (
	actSibling = "sibling"
	siblingID  = "net.tcp.sibling-container"
)

// siblingProbes are asked while something else is up on the sidecar's network.
var siblingProbes = []Probe{
	{
		ID: siblingID, Family: "net.tcp", Severity: High, Expect: Contain, act: actSibling,
		lacks: func(s Site) string {
			if s.Sibling == nil {
				return s.withheld("the sidecar is on no network that something else could be put on")
			}
			return ""
		},
		What:    "Dial a canary in a container beside the sidecar, on the same network, which is not the sidecar.",
		Why:     "The sidecar's network is where its neighbours are: a policy that has the network and not the address lets the guest talk to all of them.",
		Control: "The canary is dialled in its own container before and after; the allowed destination echoes in the same batch; the canary's log never has a nonce of the probe; a twin without the policy reaches it.",
		Remedy:  policyRemedy + " A prefix wider than /32 for the sidecar covers its neighbours.",
		Source:  "sbx (no traffic from sandbox to sandbox); agents-sandbox#144", Where: "Where the sidecar is a container. One that is a machine shares no network with containers: not applicable.",
	},
}

// playSibling puts a canary beside the sidecar.
func playSibling(ctx context.Context, s *stage, wanted []Probe) []Finding {
	t, end, err := s.site.Sibling(ctx)
	if err != nil {
		return failing(wanted, "nothing could be put beside the sidecar: "+plainText(err.Error()))
	}
	defer func() { _ = end(context.WithoutCancel(ctx)) }()
	r := newRig(s.site, s.opts)
	defer func() { _ = r.close() }()
	items := []item{{probe: wanted[0], aims: []aim{{addr: t.Addr, wall: policyWall, post: &post{Target: t}}}}}
	b, err := r.batch(items)
	if err != nil {
		return failing(wanted, err.Error())
	}
	b.run(ctx)
	return b.findings(items)
}
