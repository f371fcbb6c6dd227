package probes

import (
	"net"
	"net/netip"

	"bottle.internal/probes/agent"
)

const (
	groupControl = "A canary of this run listens to the group on every container bridge of this host and is spoken to there before and after, and where a world " +
		"stands in for the internet it listens too; neither ever sees a nonce of the probe; the allowed destination echoes a nonce before and after in the same batch."
	groupWhere = "Where a world stands in for the internet, or this host has a container bridge: nothing is said on any other wire."
)

// groupProbes are those of family net.udp that speak to everybody on a wire.
var groupProbes = []Probe{
	{
		ID: "net.udp.multicast", Family: "net.udp", Severity: Medium, Expect: Contain,
		What: "Send to a multicast group and to the group of mDNS.", Why: "Services are announced and found there; a guest that hears or speaks is on the network.",
		Control: groupControl, Remedy: policyRemedy,
		Source: "deepce scan; tsi: a multicast sendto without a policy leaves by the host's default interface", Where: groupWhere,
		aims: func(r *rig) ([]aim, absence) {
			return r.groupAims(agent.Multicast, multicastPort, func(netip.Prefix) []netip.Addr {
				return []netip.Addr{netip.AddrFrom4([4]byte{239, 1, 2, 3}), netip.AddrFrom4([4]byte{224, 0, 0, 251})}
			})
		},
	},
	{
		ID: "net.udp.broadcast", Family: "net.udp", Severity: Medium, Expect: Contain,
		What:    "Send to everybody on the wire, 255.255.255.255 and the bridge's own broadcast address, by every interface.",
		Why:     "What answers broadcasts gives out addresses, names and wakes machines; a guest that can send one speaks to the whole network at once.",
		Control: groupControl, Remedy: policyRemedy,
		Source: "tsi-and-virtio-net, row 42 (255.255.255.255 and the bridge's broadcast address)", Where: groupWhere,
		aims: func(r *rig) ([]aim, absence) { return r.groupAims(agent.Broadcast, broadcastPort, broadcasts) },
	},
}

// maxBridges bounds how many bridges are listened on: each group there is a silence to be waited for.
const maxBridges = 2

// Where a world is spoken to, which listens on all ports. These are nobody's (RFC 6335 leaves them unassigned), and not the same: a guest
// that hears a group on a port hears its own broadcast there.
const (
	multicastPort = 4433
	broadcastPort = 4435
)

// broadcasts are the addresses of everybody on n, the zero Prefix being no network in particular.
func broadcasts(n netip.Prefix) []netip.Addr {
	all := []netip.Addr{netip.AddrFrom4([4]byte{255, 255, 255, 255})}
	if !n.IsValid() || !n.Addr().Is4() {
		return all
	}
	last := n.Addr().As4()
	for i, b := range net.CIDRMask(n.Bits(), 8*len(last)) {
		last[i] |= ^b
	}
	return append(all, netip.AddrFrom4(last))
}

// groupAims speak to groups, with a canary on each container bridge and the world, where there is one, behind them. The canaries' ports
// are this run's alone.
func (r *rig) groupAims(m agent.Method, worldPort uint16, groups func(netip.Prefix) []netip.Addr) ([]aim, absence) {
	var aims []aim
	if r.world != nil {
		for _, g := range groups(netip.Prefix{}) {
			aims = append(aims, aim{network: agent.UDP4, method: m, addr: netip.AddrPortFrom(g, worldPort), wall: policyWall, post: r.world})
		}
	}
	wires := r.hosts(isBridge4)
	for _, on := range wires[:min(maxBridges, len(wires))] {
		for _, g := range groups(on.Net) {
			if p, err := r.groupPost(g, on.Addr); err == nil {
				aims = append(aims, aim{network: agent.UDP4, method: m, addr: p.Addr, wall: policyWall, post: p})
			}
		}
	}
	if len(aims) == 0 {
		return nil, absence{why: "nothing stands in for the internet here, and this host has no container bridge that a canary could listen on"}
	}
	return aims, absence{}
}

// groupPost is a canary that hears group on the interface that has the address on.
func (r *rig) groupPost(group, on netip.Addr) (*post, error) {
	c, err := NewGroupCanary("host "+group.String()+" on "+on.String(), netip.AddrPortFrom(group, 0), on)
	if err != nil {
		return nil, err
	}
	r.undo = append(r.undo, c.Close)
	return &post{Target: c.Target()}, nil
}
