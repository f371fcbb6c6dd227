package probes

import "fmt"

// rawNameProbes ask the host's end of a shared file system past the guest's kernel, which takes no such names from a program.
var rawNameProbes = []Probe{
	{
		ID: "fs.virtiofs.rawname", Family: "fs", Severity: Critical, Expect: Contain,
		What: "Say names with \"..\" and \"/\" in them to the host's end of a virtiofs, as a guest's kernel can that was changed for it.",
		Why: "The host's end joins the name to a directory of its own. Where it does not look at the name first the guest has every file that the VMM has; libkrun documents that " +
			"a changed guest kernel gets out so, and counts guest and VMM as one.",
		Control: "None yet: the kit has no kernel that says such names, so nothing is tried and nothing is ever contained.",
		Remedy:  "Run the VMM confined to what the guest may have: a user of its own, a mount namespace, Landlock (smolvm from 0.8.2). Waive it with libkrun#329 otherwise.",
		Source:  "libkrun#329 (closed as documented by #330); smolvm#151", Where: "In a VM with a virtiofs, and then it is not known: inconclusive to whoever asks for it by name. On the simulator and in a container no such file system is in between: not applicable.",
		aims: (*rig).rawNameAims,
	},
}

// rawNameAims are none: why says whether there is a virtiofs at all.
func (r *rig) rawNameAims() ([]aim, absence) {
	switch b := r.site.Declared.Boundary; {
	case r.site.Simulated:
		return nil, absence{why: "the engine is a simulator: its guest's file systems are this host's kernel's own, and no virtiofs is in between"}
	case b == Container:
		return nil, absence{why: fmt.Sprintf("the sandbox is declared a %s: it shares the host's kernel and its file systems, and no virtiofs is in between", b)}
	}
	return nil, absence{why: "it was not tried: it takes a kernel in the guest that says such names, and the kit has none", unproven: true}
}
