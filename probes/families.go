package probes

import (
	"slices"
	"strings"

	"bottle.internal/probes/agent"
)

// kernelNetProbes ask the guest's kernel what it can make besides the sockets that the other families dial with.
var kernelNetProbes = []Probe{
	{
		ID: "net.af.census", Family: "net.af", Severity: Medium, Expect: Contain,
		What:    "Make a socket of every address family and type, and list those that the kernel gives.",
		Why:     "A family that no namespace confines, vsock or Bluetooth say, is a network that no policy of addresses has heard of; the others are code of the kernel's that few have looked at.",
		Control: "Sockets of AF_INET and AF_UNIX are on the list, or it counts for nothing. " + lookControl,
		Remedy:  "Filter socket() by family, or leave the family out of the kernel.",
		Source:  "the jnros matrix of families; kernel CVEs in AF_ALG, AF_KEY, AF_RDS and TIPC",
		Where:   "Everywhere. In a VM every family but vsock is the guest's own kernel's; on the simulator, whose kernel is the host's whatever that offers, only vsock counts: the model has to keep it from the guest.",
		aims: func(r *rig) ([]aim, absence) {
			return []aim{look(agent.Families, "", r.site.strayFamilies).needing("AF_INET ")}, absence{}
		},
	},
	{
		ID: "net.raw.packet", Family: "net.raw", Severity: Medium, Expect: Contain,
		What:    "Put a frame for a canary on the host onto every interface of the guest, past its routes and its firewall (AF_PACKET).",
		Why:     "A wall inside the guest's network stack is not asked about frames that do not go through it.",
		Control: canaryControl, Remedy: "Keep the wall outside the guest, and CAP_NET_RAW from who needs it not.",
		Source: "libkrun README (guest and VMM are one network context); tsi has no interface that leads out", Where: everywhere + " A guest that may make no such socket keeps the wall.",
		aims: func(r *rig) ([]aim, absence) {
			return r.firstHost(func(a *aim) { a.network, a.method = agent.UDP4, agent.Link })
		},
	},
	{
		ID: "net.raw.ip", Family: "net.raw", Severity: Medium, Expect: Contain,
		What:    "Send a datagram to a canary on the host as a packet of the guest's own making, by a raw socket.",
		Why:     "A wall at the calls that send datagrams is not asked about packets that are made already.",
		Control: udpControl, Remedy: "Keep the wall outside the guest, and CAP_NET_RAW from who needs it not.",
		Source: "libkrun README (guest and VMM are one network context); tsi takes datagram sockets only", Where: everywhere + " A guest that may make no such socket keeps the wall.",
		aims: func(r *rig) ([]aim, absence) {
			return r.firstHost(func(a *aim) { a.network, a.method = agent.UDP4, agent.RawIP })
		},
	},
	{
		ID: "net.raw.tun", Family: "net.raw", Severity: Medium, Expect: Contain,
		What:    "Create a TUN interface.",
		Why:     "Who can make interfaces in a namespace shared with the host, or given one with too much in it, can put packets onto the host's networks.",
		Control: lookControl,
		Remedy:  "Give the sandbox neither CAP_NET_ADMIN nor /dev/net/tun.",
		Source:  "libkrun README (guest and VMM are one network context)",
		Where:   ownWhere + " What a VM puts on the wire is net.raw.packet's and net.route.tamper's question.",
		aims:    unlessOwnKernel("a TUN interface", looks(call("tun"))),
	},
	{
		ID: "net.tcp.inherited-fds", Family: "net.tcp", Severity: Medium, Expect: Contain,
		What:    "List the sockets that a process in the guest starts with.",
		Why:     "A descriptor opened outside is a connection that was made before the walls were there; no policy is asked again.",
		Control: lookControl,
		Remedy:  "Close descriptors before the guest's first process starts (close_range), and open new ones with close-on-exec.",
		Source:  "agent-glovebox; runc CVE-2024-21626 (a leaked descriptor)", Where: everywhere,
		aims: looks(look(agent.FDs, "", func(reply []byte) string { return undeclared("sockets that it did not open", lines(reply)) })),
	},
}

// confined are the families that a network namespace confines, or that every sandbox needs.
var confined = []string{"AF_UNIX", "AF_INET", "AF_INET6", "AF_NETLINK", "AF_PACKET"}

// strayFamilies are the families in a census that nothing confines.
func (s Site) strayFamilies(reply []byte) string {
	var stray []string
	for _, line := range lines(reply) {
		family, _, _ := strings.Cut(line, " ")
		if !strings.HasPrefix(family, "AF_") && !isNumber(family) {
			continue
		}
		if s.confines(family) || slices.Contains(stray, family) {
			continue
		}
		stray = append(stray, family)
	}
	return undeclared("sockets of families that nothing confines", stray)
}

func (s Site) confines(family string) bool {
	switch {
	case slices.Contains(confined, family):
		return true
	case family == "AF_VSOCK":
		return s.ownKernel() // where it leads is what the net.vsock rows ask
	}
	return s.Declared.Boundary == VM
}

// call is a system call that only the privileged may make; that it was made is shown.
func call(name string) aim {
	return look(agent.SysCall, name, func([]byte) string { return "the guest may call " + name })
}
