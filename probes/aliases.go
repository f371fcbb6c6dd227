package probes

import (
	"net/netip"

	"bottle.internal/probes/agent"
)

// hostAliases are names by which sandboxes and container engines give a guest its host.
var hostAliases = []string{
	"host.smolvm.internal", "host.docker.internal", "host.containers.internal", "gateway.docker.internal", "host.lima.internal",
	"host.orb.internal", "host.minikube.internal", "host-gateway.internal",
}

// aliasProbes dial the host by its names.
var aliasProbes = []Probe{
	{
		ID: "net.tcp.host-alias", Family: "net.tcp", Severity: Critical, Expect: Contain,
		most: L1, // what a name leads to is known in the guest alone, so that no log can be asked for it
		What: "Dial a canary on the host by the names that sandboxes have for it: host.smolvm.internal, host.docker.internal, host.containers.internal, " +
			"gateway.docker.internal and others.",
		Why: "A name that was put there for convenience leads past what was written about addresses: to the gateway, and from there to every local service of the host.",
		Control: "A canary of this run listens on every address of the host and is dialled there before and after; the allowed destination echoes a nonce before and " +
			"after in the same batch; neither the canary nor the world ever sees a nonce of the probe. A name that does not resolve leads nowhere.",
		Remedy: policyRemedy + " On virtio-net the name is the gateway's, whose address 100.64.0.0/10 covers.",
		Source: "sbx-releases#546; smolvm#963",
		Where: "Everywhere; where no world answers for the internet, and without Online, the engine's own name alone is asked for: the others would be asked of a " +
			"nameserver that is not this host's.",
		aims: (*rig).aliasAims,
	},
}

// aliasAims dial each name at the port of a canary that listens everywhere. The address is one for documentation: the agent puts the name's in
// its place.
func (r *rig) aliasAims() ([]aim, absence) {
	p, err := r.canary(netip.AddrPortFrom(netip.IPv4Unspecified(), 0))
	if err != nil {
		return nil, absence{why: "no canary could be brought up on all addresses of this host: " + err.Error(), unproven: true}
	}
	names := hostAliases
	if r.world == nil && !r.opts.Online {
		names = names[:1]
	}
	var aims []aim
	for _, name := range names {
		aims = append(aims, aim{
			method: agent.Named, path: name, addr: netip.AddrPortFrom(netip.MustParseAddrPort(resolverPort).Addr(), p.Addr.Port()), wall: policyWall, post: p,
		})
	}
	return aims, absence{}
}
