package mutants

// An Exception is a critical or high probe that no mutant can be killed by, and why.
type Exception struct {
	Probe string `json:"probe"`
	Why   string `json:"why"`
}

const (
	needsVM     = "it needs a VM: on the simulator, whose guest shares the host's kernel, it means nothing"
	noShare     = "it means something where a directory of the host is shared with the guest, and a bottle shares none"
	ownNetwork  = "it needs a guest that is root of its own network: the simulator's guest may not change it, so the attempt ends in the guest's kernel"
	byAddress   = "it leaks in every sound bottle where it means something: smolvm filters by address and not by port (smolvm#744), and the profiles waive it"
	goesByDials = "no Linux kernel connects a connected socket again: it needs tsi's sockets"
)

// Exceptions are the probes that no mutant of All can turn red. One that kills all the same is no exception any more, and fails
// the matrix, unless it is the host's matter.
var Exceptions = []Exception{
	{Probe: "kernel.distinct", Why: needsVM},
	{Probe: "net.vsock.control.reentry", Why: needsVM},
	{Probe: "net.vsock.host.declared", Why: needsVM},
	{Probe: "net.vsock.host.undeclared", Why: needsVM},
	{Probe: "net.vsock.hypervisor", Why: needsVM},
	{Probe: "net.vsock.peer", Why: needsVM},
	{Probe: "fs.virtiofs.rawname", Why: "it needs a VM, and a kernel in it that says such names, which the kit has not: it is never contained"},
	{Probe: "cred.injected", Why: "it means something where the proxy puts credentials into requests, and the bundle's puts none in"},
	{Probe: "net.dns.gateway.filter", Why: "it means something where the policy lets hosts through by name, and a bottle's goes by address"},
	{Probe: "fs.ro.write", Why: noShare},
	{Probe: "fs.protected", Why: noShare},
	{Probe: "fs.hardlink.escape", Why: noShare + "; what the simulator's fault mounts is another file system, in which no link can be made"},
	{Probe: "net.unix.shared-mount", Why: noShare},
	{Probe: "proxy.fail-stale", Why: "it means something where the proxy's list can be changed while it runs, and the bundle's cannot"},
	{Probe: "life.pause", Why: "it means something where the engine pauses sandboxes, and smolvm does not"},
	{Probe: "life.snapshot", Why: "it means something where the engine copies sandboxes as they run, and a bottle's guest is not started for that"},
	{Probe: "net.fabric.peer", Why: "it means something where sandboxes are put on a named network, and a bottle is put on none"},
	{Probe: "net.inbound.published", Why: "it means something where a port of the guest's is published, and a bottle's guest publishes none"},
	{Probe: "net.inbound.sidecar", Why: "the launch refuses a bundle that is published anywhere else, before there is anything to probe: see bundle-published-everywhere"},
	{Probe: "net.route.tamper", Why: ownNetwork},
	{Probe: "net.tcp.source-spoof", Why: ownNetwork},
	{Probe: "net.tcp.own-netns", Why: "a namespace of the simulator's guest has no network at all: it needs tsi's sockets, which no namespace confines"},
	{Probe: "net.tcp.same-socket", Why: goesByDials},
	{Probe: "net.tcp.allowed-ip.other-port", Why: byAddress},
	{Probe: "net.udp.allowed-ip.any-port", Why: byAddress},
	{Probe: "net.unix.abstract", Why: "it needs a guest in the host's network namespace, whose traffic would not stay on this machine"},
	{Probe: "proc.host-visible", Why: "it needs a guest in the host's pid namespace: the simulator's ends with the pid 1 of its own"},
	{Probe: "net.ipv6.linklocal", Why: "a simulated guest's kernel takes a zone for an interface of the guest's: it needs tsi's, which takes it for one of the host's"},
}
