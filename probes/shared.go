package probes

import (
	"os"
	"path/filepath"
	"strings"

	"bottle.internal/probes/agent"
)

// sharedProbes are those of family fs that ask what a guest makes of directories that the host shares with it.
var sharedProbes = []Probe{
	{
		ID: "fs.hardlink.escape", Family: "fs", Severity: Critical, Expect: Contain,
		What:    "Plant a hard link to a file of the host's, and read through it.",
		Why:     "A second name leads to the file itself: what checks the path that a guest asks for finds one that is the guest's own.",
		Control: decoyControl, Remedy: "Share a file system of its own, or open by handle of what was checked; set fs.protected_hardlinks on the host.",
		Source: "mvm#1470; Linux fs.protected_hardlinks (CVE-2010-4258 and its kind)", Where: everywhere,
		aims: func(r *rig) ([]aim, absence) { return r.decoyAims(agent.HardLink, r.linkable()...) },
	},
	{
		ID: "fs.protected", Family: "fs", Severity: High, Expect: Contain,
		What: "Write to a file of the host's beside git's hooks and settings, an editor's tasks, an agent's settings and the CI's workflows, in each directory that is shared to be written.",
		Why: "What is there is run on the host, by the next commit, the next shell or the next pull, with the rights of whoever does it: the way out of a " +
			"sandbox that needs no hole in it.",
		Control: "The host writes to that file before and after and finds that in it; it never finds a nonce of the probe.",
		Remedy:  "Mount these directories read-only over the shared one, or share a copy and look at what comes back.",
		Source:  "sandy findings 1, 3 and 4; CVE-2025-59536 and its kind (an agent's settings in a repository)",
		Where:   "Where a directory is declared as shared to be written, its place on the host is known and such a directory is in it.",
		aims:    (*rig).protectedAims,
	},
}

// linkable are directories from which a guest could link: those that are shared to be written, and where everybody may write.
func (r *rig) linkable() []string {
	dirs := []string{os.TempDir()}
	for _, m := range r.site.Declared.Mounts {
		if !m.ReadOnly && m.Host != "" {
			dirs = append(dirs, m.Host)
		}
	}
	return dirs
}

// protected are places in a working tree from which a host runs something.
var protected = []string{".git/hooks", ".git", ".git/modules", ".vscode", ".idea", ".claude", ".cursor", ".devcontainer", ".github/workflows", ".husky"}

// protectedAims write beside what the host would run.
func (r *rig) protectedAims() ([]aim, absence) {
	var aims []aim
	none := absence{why: "no directory of the host is declared as shared to be written"}
	for _, m := range r.site.Declared.Mounts {
		if m.ReadOnly || m.Host == "" {
			continue
		}
		none = absence{why: "none of " + strings.Join(protected, ", ") + " is in " + m.Host}
		for _, p := range protected {
			d, err := newDecoy(filepath.Join(m.Host, p))
			if err != nil {
				continue
			}
			r.undo = append(r.undo, d.Close)
			a := look(agent.Write, m.Guest+strings.TrimPrefix(d.path, m.Host), nil)
			a.post = &post{Target: Target{Name: d.path, Alive: d.write, Sightings: d.written}}
			aims = append(aims, a)
		}
	}
	if len(aims) > 0 {
		none = absence{}
	}
	return aims, none
}
