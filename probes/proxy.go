package probes

// proxyProbes are the probes of family proxy: the sidecar that shares the allowed address.
var proxyProbes = []Probe{
	{
		ID: "proxy.admin-surface", Family: "proxy", Severity: High, Expect: Contain,
		What:    "Dial the sidecar's other listeners at the address that the guest may dial.",
		Why:     "smolvm filters by address and not by port: every port of the sidecar is in reach, and what holds the credentials must not listen there.",
		Control: "Each listener is dialled at its own position before and after and logs that; it never sees a nonce of the probe; the allowed destination echoes in the same batch.",
		Remedy:  "Bind the listener to the sidecar's loopback.",
		Source:  "smolvm#744 (port rules, closed); the egress hop that listened beside the proxy on the allowed address",
		Where:   "Everywhere. A site without such listeners has nothing to dial: not applicable, and inconclusive to whoever asks for it by name.",
		aims:    (*rig).closedAims,
	},
}

func (r *rig) closedAims() ([]aim, absence) {
	if len(r.closed) == 0 {
		return nil, absence{why: "the site names no listener beside the allowed destination", unproven: true}
	}
	var aims []aim
	for i, p := range r.closed {
		aims = append(aims, aim{addr: r.site.Closed[i].Addr, wall: bindingWall, post: p})
	}
	return aims, absence{}
}
