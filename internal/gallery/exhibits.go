package main

import "bottle.internal/probes"

const (
	lan       = "net.tcp.canary.v4"
	datagram  = "net.udp.canary.v4"
	loopback  = "net.tcp.loopback.v4"
	inbound   = "net.inbound.unpublished"
	abstract  = "net.unix.abstract"
	hostFile  = "fs.host-canary.read"
	inventory = "net.unix.inventory"
	environ   = "env.decoy"
	processes = "proc.host-visible"
)

// exhibits are the sandboxes, with no wall first. Those that share the host's files show its root read-only, as coding agents' sandboxes do.
func exhibits(image string) []exhibit {
	all := []exhibit{
		{
			name: "sh -c", prefix: []string{"sh", "-c"}, why: "no sandbox at all: what is red elsewhere is red here",
			known: verdicts(probes.Leak, lan, datagram, loopback, inbound, abstract, hostFile, environ, processes),
		},
		{
			name: "bwrap, network shared", prefix: []string{"bwrap", "--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc", "--tmpfs", "/tmp", "--unshare-pid"},
			why:   "files are read-only and processes hidden; the network, abstract sockets and the environment are the host's",
			known: merge(verdicts(probes.Leak, lan, datagram, loopback, inbound, abstract, hostFile, environ), verdicts(probes.Contained, processes)),
		},
		{
			name: "bwrap --unshare-all", prefix: []string{"bwrap", "--unshare-all", "--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc", "--tmpfs", "/tmp"},
			why:   "no network but a loopback of its own; files can be read and the environment is handed on",
			known: merge(verdicts(probes.Contained, lan, datagram, loopback, inbound, abstract, processes), verdicts(probes.Leak, hostFile, environ)),
		},
		{
			name: "firejail --net=none", prefix: []string{"firejail", "--quiet", "--net=none"},
			why:   "no network but a loopback of its own; most files can be read and the environment is handed on",
			known: merge(verdicts(probes.Contained, lan, datagram, loopback, abstract), verdicts(probes.Leak, environ)),
		},
		{
			name: "unshare --net --pid --mount", prefix: []string{"unshare", "--net", "--pid", "--mount", "--fork", "--mount-proc"},
			why:   "no network, not even a loopback that is up; files and the environment are the host's",
			known: merge(verdicts(probes.Contained, lan, datagram, loopback, abstract, processes), verdicts(probes.Leak, hostFile, environ)),
		},
		{
			name: "container", docker: []string{},
			why:   "a network and files of its own; by its bridge it reaches every address of the host but the loopback",
			known: merge(verdicts(probes.Leak, lan, datagram), verdicts(probes.Contained, loopback, inbound, abstract, hostFile, inventory, processes)),
		},
		{
			name: "container, --network none", docker: []string{"--network", "none"},
			why:   "the same without a network",
			known: verdicts(probes.Contained, lan, datagram, loopback, inbound, abstract, hostFile, inventory, processes),
		},
		{
			name: "container, --privileged, the engine's socket", docker: []string{"--privileged", "-v", "/var/run/docker.sock:/var/run/docker.sock"},
			why:   "every device and capability, and the door through which one asks for the host",
			known: verdicts(probes.Leak, lan, inventory),
		},
		{
			name: "container, the engine's socket", docker: []string{"-v", "/var/run/docker.sock:/var/run/docker.sock"},
			why:   "the door through which one asks for the host",
			known: merge(verdicts(probes.Leak, lan, inventory), verdicts(probes.Contained, loopback, hostFile)),
		},
		{
			name: "container, --network host", docker: []string{"--network", "host"},
			why:   "files of its own; the network, its loopback and abstract sockets are the host's",
			known: merge(verdicts(probes.Leak, lan, datagram, loopback, inbound, abstract), verdicts(probes.Contained, hostFile, processes)),
		},
	}
	for i := range all {
		if all[i].prefix == nil {
			all[i].image = image
		}
	}
	return all
}

func verdicts(v probes.Verdict, ids ...string) map[string]probes.Verdict {
	all := make(map[string]probes.Verdict, len(ids))
	for _, id := range ids {
		all[id] = v
	}
	return all
}

func merge(a, b map[string]probes.Verdict) map[string]probes.Verdict {
	for id, v := range b {
		a[id] = v
	}
	return a
}
