package probes

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	"bottle.internal/probes/agent"
)

// The context ids of vsock(7).
const (
	cidHypervisor = 0
	cidLocal      = 1
	cidHost       = 2
	cidGuest      = 3 // what libkrun gives every guest; vsock's loopback keeps it inside
)

const (
	vsockControl = "A socket of the family can be made in the guest, or the attempt says that it cannot. " + lookControl
	vsockRemedy  = "Ask the engine for no service of the host's that the guest does not need: on smolvm --ssh-agent, --expose-socket, --cuda and the docker bridge each open a port."
	vsockWhere   = "Where the guest is a VM with a vsock device. " + vmWhere
	agentPort    = 6000            // smolvm's agent listens there in the guest
	sweepBudget  = 8 * time.Second // a port without an answer takes vsock's own 2 s
)

// servicePorts are what releases of smolvm open on the host for a guest (smolvm-protocol ports).
var servicePorts = [][2]uint32{{5000, 5001}, {6000, 6004}, {6100, 6163}, {7000, 7000}}

// otherPorts are a sample of what nobody opens.
var otherPorts = [][2]uint32{{1, 64}, {111, 111}, {1024, 1055}, {2375, 2376}, {4999, 4999}, {5002, 5063}, {5999, 5999}, {6005, 6036}, {6164, 6195}, {7001, 7032}, {8000, 8031}, {10000, 10015}}

// vsockProbes are the probes of family net.vsock: the socket between a VM and what runs it.
var vsockProbes = []Probe{
	{
		ID: "net.vsock.host.undeclared", Family: "net.vsock", Severity: Critical, Expect: Contain,
		What: "Sweep ports of the host (CID 2) that no release of smolvm opens.", Why: "What answers there is a service of the host that no policy of addresses sees.",
		Control: vsockControl, Remedy: vsockRemedy, Source: "kubevirt VEP 222; smolvm-protocol ports", Where: vsockWhere,
		aims: sweeps(cidHost, otherPorts...),
	},
	{
		ID: "net.vsock.host.declared", Family: "net.vsock", Severity: High, Expect: Contain,
		What: "Dial the host's ports that smolvm has a use for, and compare those that answer with the ones declared.", Why: "The port of the ssh agent, of docker or of a published socket in a guest that should not have it hands out what is behind it to every process.",
		Control: vsockControl, Remedy: vsockRemedy, Source: "smolvm v0.8.0 launcher.rs (6001 is the host's ssh agent)", Where: vsockWhere,
		aims: sweeps(cidHost, servicePorts...),
	},
	{
		ID: "net.vsock.control.reentry", Family: "net.vsock", Severity: Critical, Expect: Contain,
		What: "Dial the host's ends of the engine's own control channels (CID 2, ports 5000 and 6000) and say something there.", Why: "An engine that takes orders where its guest is to answer takes them from the guest.",
		Control: vsockControl, Remedy: "Report it to the engine's authors: the channel must take no connection from the guest.", Source: "firecracker test_vsock; libkrun 98163265 muxer.rs (a port on which the host listens is reset)", Where: vsockWhere,
		aims: unlessSimulated(reentryAims),
	},
	{
		ID: "net.vsock.peer", Family: "net.vsock", Severity: High, Expect: Contain,
		What: "Dial the agent's port at the context ids of other guests.", Why: "A guest that reaches another's agent runs commands there.",
		Control: vsockControl, Remedy: "The engine's device must drop whatever is not for CID 2: report it.", Source: "kubevirt VEP 222; libkrun 98163265 muxer.rs", Where: vsockWhere,
		aims: unlessSimulated(peerAims),
	},
	{
		ID: "net.vsock.local", Family: "net.vsock", Severity: Medium, Expect: Contain,
		What: "Dial the engine's own agent inside the guest by vsock's loopback.", Why: "The agent runs commands as root for whoever connects: any process of the guest becomes its root.",
		Control: vsockControl, Remedy: "Run nothing in the guest that must not become its root; or waive it: the boundary to the host is not touched.", Source: "libkrunfw 516ceece (CONFIG_VSOCKETS_LOOPBACK)", Where: vsockWhere,
		aims: unlessSimulated(func(r *rig) ([]aim, absence) {
			return []aim{r.sweep(cidLocal, agentPort, agentPort), r.sweep(cidGuest, agentPort, agentPort)}, absence{}
		}),
	},
	{
		ID: "net.vsock.hypervisor", Family: "net.vsock", Severity: High, Expect: Contain,
		What: "Dial context id 0, which is the hypervisor's.", Why: "Nothing of ours lives there; where the host is a VM itself, its own hypervisor might.",
		Control: vsockControl, Remedy: "The engine's device must drop whatever is not for CID 2: report it.", Source: "vsock(7); kubevirt VEP 222", Where: vsockWhere,
		aims: sweeps(cidHypervisor, [2]uint32{1, 32}, [2]uint32{agentPort, agentPort}),
	},
}

// sweep is a look at the ports first to last of cid; those that take connections and are not declared are shown.
func (r *rig) sweep(cid, first, last uint32) aim {
	return aim{
		network: agent.VSOCK, method: agent.Sweep, cid: cid, vport: first, vportEnd: last, wall: kernelWall, budget: sweepBudget,
		shows: func(reply []byte) string { return r.site.Declared.openPorts(cid, reply) },
	}
}

func (d Declared) openPorts(cid uint32, reply []byte) string {
	var open []string
	for _, line := range lines(reply) {
		port, err := strconv.ParseUint(line, 10, 32)
		if err == nil && cid == cidHost && slices.Contains(d.VSOCKPorts, uint32(port)) {
			continue
		}
		open = append(open, line)
	}
	return undeclared("connections to vsock ports of CID "+strconv.FormatUint(uint64(cid), 10)+" that nobody declared", open)
}

// sweeps makes a row's aims of ranges of ports at cid.
func sweeps(cid uint32, ranges ...[2]uint32) func(*rig) ([]aim, absence) {
	return unlessSimulated(func(r *rig) ([]aim, absence) {
		var aims []aim
		for _, p := range ranges {
			aims = append(aims, r.sweep(cid, p[0], p[1]))
		}
		return aims, absence{}
	})
}

// peerAims are other guests' agents, as far as a host is likely to number them.
func peerAims(r *rig) ([]aim, absence) {
	var aims []aim
	for cid := uint32(cidGuest + 1); cid <= 16; cid++ {
		aims = append(aims, r.sweep(cid, agentPort, agentPort))
	}
	return aims, absence{}
}

// reentryAims say a request to the engine's control ports; any answer at all is one too many.
func reentryAims(*rig) ([]aim, absence) {
	var aims []aim
	for _, port := range []uint32{5000, agentPort} {
		aims = append(aims, aim{network: agent.VSOCK, cid: cidHost, vport: port, wall: kernelWall, budget: sweepBudget, shows: func(reply []byte) string {
			return fmt.Sprintf("port %d of the host answered the guest: %s", port, excerpt(reply))
		}})
	}
	return aims, absence{}
}
