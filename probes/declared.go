package probes

import "net/netip"

// A Boundary is what stands between a sandbox and its host.
type Boundary string

const (
	// VM is a kernel of the sandbox's own.
	VM Boundary = "vm"
	// Container is namespaces on the host's kernel.
	Container Boundary = "container"
)

// Declared is what a sandbox is said to have on purpose. The zero Declared declares nothing beyond what any guest has, and
// leaves open what the boundary is: then a shared kernel counts as a leak.
type Declared struct {
	// Boundary is VM, Container, or "" for unknown. It is a claim like all of this: kernel.distinct is what asks for proof.
	Boundary Boundary
	// Mounts are the places where the guest has something of the host's.
	Mounts []Mount
	// VSOCKPorts are those of the host that take connections of the guest's.
	VSOCKPorts []uint32
	// Devices are device nodes beyond those of any guest, by path; "*" stands for a run of letters, but for no "/".
	Devices []string
	// Published are ports of the guest's that the host takes connections at.
	Published []Published
	// Sockets are unix sockets that the guest may find, by path.
	Sockets []string
	// Capabilities are those beyond a container's default, in lower case without "cap_".
	Capabilities []string
	// Hostname is the guest's where it is the host's on purpose; "" declares nothing.
	Hostname string
	// MemoryMiB and CPUs are the most that the guest has; 0 says only that it is less than the host's.
	MemoryMiB, CPUs int
}

// A Mount is something of the host's in a sandbox.
type Mount struct {
	// Guest is where it is in the guest; "*" stands for a run of letters, but for no "/".
	Guest string
	// Host is its directory on the host; "" is not known, so that nothing can be planted there.
	Host string
	// ReadOnly says that the guest must not write there.
	ReadOnly bool
}

// A Published is a port of the guest's at an address of the host's.
type Published struct {
	Host  netip.AddrPort
	Guest uint16
	// Network is "udp" or "sctp" where it is no stream's, else "" or "tcp". What is no stream's is not tried, and the finding says so.
	Network string
}

func (p Published) stream() bool { return p.Network == "" || p.Network == "tcp" }

// ownKernel reports whether the sandbox is said to have a kernel of its own, and the engine can give it one.
func (s Site) ownKernel() bool { return s.Declared.Boundary == VM && !s.Simulated }

// sharedKernel is why a probe that asks for a kernel of the guest's own means nothing on the simulator.
const sharedKernel = "the engine is a simulator: its guest shares this host's kernel, so there is no boundary of a VM to probe"
