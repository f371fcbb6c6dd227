package probes

import (
	"bottle.internal/probes/agent"
)

// What rows that look instead of dialling say alike.
const (
	lookControl = "The same batch reads " + glancePath + ", which every Linux has: a prober that finds nothing anywhere shows nothing. What is " +
		"found is red by the guest's own word; that nothing is there is its word too, so it stays at assurance L1."
	decoyControl = "A decoy of random content, which only the host knows, is read on the host before and after; the guest's answer leaks only if that " +
		"content is in it. The same batch reads " + glancePath + "."
	ownWhere = "Where the kernel is shared with the host. A guest that is declared a VM has these from a kernel of its own, whose distinctness is " +
		"kernel.distinct's question: not applicable."
	vmWhere = "Where a VM can be told from a namespace: not on the simulator, whose guest shares the host's kernel."
)

// look is a look by m at path, whose answer shows what must not be there.
func look(m agent.Method, path string, shows func([]byte) string) aim {
	return aim{network: agent.Look, method: m, path: path, wall: kernelWall, shows: shows}
}

// looks makes a row's aims of looks that mean something everywhere.
func looks(all ...aim) func(*rig) ([]aim, absence) {
	return func(*rig) ([]aim, absence) { return all, absence{} }
}

// unlessOwnKernel is aims, but not of a guest that is root of a kernel of its own.
func unlessOwnKernel(what string, aims func(*rig) ([]aim, absence)) func(*rig) ([]aim, absence) {
	return func(r *rig) ([]aim, absence) {
		if r.site.ownKernel() {
			return nil, absence{why: what + " of a guest that is declared a VM is its own kernel's, which kernel.distinct tells from the host's"}
		}
		return aims(r)
	}
}

// unlessSimulated is aims, but not on the simulator.
func unlessSimulated(aims func(*rig) ([]aim, absence)) func(*rig) ([]aim, absence) {
	return func(r *rig) ([]aim, absence) {
		if r.site.Simulated {
			return nil, absence{why: sharedKernel}
		}
		return aims(r)
	}
}

// hostPrefixes are where a sandbox that has the host's files has them, besides their own place.
var hostPrefixes = []string{"", "/mnt", "/host", "/proc/1/root"}
