package bottletest

import (
	"bottle.internal/probes"
)

// decoyVariable is set for every smolvm that a bottle's launch runs: it must not turn up in the guest.
const decoyVariable = "BOTTLE_DECOY"

// plant puts a text that only this launch knows into the environment that smolvm and its boot process inherit.
func (b *Bottle) plant() {
	b.planted = probes.NewDecoyText()
	b.engine.client.Env = append(b.engine.client.Env, decoyVariable+"="+b.planted)
}

// plantedTexts is what was planted; nil in a bottle that somebody else launched, whose text is not known here.
func (b *Bottle) plantedTexts() []string {
	if b.planted == "" {
		return nil
	}
	return []string{b.planted}
}

// doorbell is the host's vsock port at which a guest says that it is up (smolvm v1.9.3, agent ready).
const doorbell = 6004

// declared is what a bottle's guest has on purpose: a VM with nothing of the host's in it. The simulator's bare guest runs the
// host's userland, so the model has some of the host's directories where a VM has none.
func (b *Bottle) declared() probes.Declared {
	d := probes.Declared{Boundary: probes.VM, VSOCKPorts: []uint32{doorbell}, MemoryMiB: b.cfg.MemoryMiB, CPUs: b.cfg.CPUs}
	if b.engine.version.Simulated && b.plan.Image == "" {
		d.Mounts = simulatedUserland
	}
	return d
}

// simulatedUserland is what the simulator's bare guest has of its host (smolvm/sim: mountUsr, hostConfiguration, topLevel). Not
// more of /etc than that: a host's /etc at large is a leak there too.
var simulatedUserland = func() []probes.Mount {
	var all []probes.Mount
	for _, dir := range []string{
		"/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/etc/alternatives", "/etc/ca-certificates", "/etc/ld.so.cache",
		"/etc/ld.so.conf", "/etc/ld.so.conf.d", "/etc/pki/tls", "/etc/protocols", "/etc/services", "/etc/ssl",
	} {
		all = append(all, probes.Mount{Guest: dir})
	}
	return all
}()
