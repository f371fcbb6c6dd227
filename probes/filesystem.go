package probes

import (
	"os"
	"path/filepath"
	"slices"
	"strings"

	"bottle.internal/internal/echo"
	"bottle.internal/probes/agent"
)

// fsProbes are the probes of family fs: files of the host's.
var fsProbes = []Probe{
	{
		ID: "fs.host-canary.read", Family: "fs", Severity: Critical, Expect: Contain,
		What:    "Read files that were planted in the host's home, temporary and working directories, at their own paths and below the places where a host's files are usually mounted.",
		Why:     "A sandbox that can read the host's files holds the host's secrets, whatever its network may do.",
		Control: decoyControl, Remedy: "Take out the mount that the file came by; fs.mounts.exact names it.",
		Source: "agent-glovebox escape canary; a sandbox whose working directory was the host's", Where: everywhere,
		aims: func(r *rig) ([]aim, absence) { return r.decoyAims(agent.Read, r.commonDirs()...) },
	},
	{
		ID: "fs.symlink.escape", Family: "fs", Severity: Critical, Expect: Contain,
		What:    "Plant a symbolic link to a file of the host's, and read through it.",
		Why:     "What follows a guest's link on the host's side reads for the guest what the guest may not.",
		Control: decoyControl, Remedy: "Resolve guests' paths beneath the directory that is shared (openat2 with RESOLVE_BENEATH), or share none.",
		Source: "mvm#1470; runc CVE-2019-14271", Where: everywhere,
		aims: func(r *rig) ([]aim, absence) { return r.decoyAims(agent.FollowLink, os.TempDir()) },
	},
	{
		ID: "fs.mounts.exact", Family: "fs", Severity: High, Expect: Contain,
		What:    "Compare what is mounted in the guest with what is declared.",
		Why:     "Every mount of the host's is a part of the host that the guest has; one that nobody declared is one that nobody thought of.",
		Control: "The guest's root is on the list. " + lookControl, Remedy: "Take the mount out, or declare it.",
		Source: "sandbox-probe (mounts)", Where: "Everywhere. In a VM only file systems that are shared with a host count: its disks are its own.",
		aims: func(r *rig) ([]aim, absence) {
			return []aim{look(agent.Mounts, "", r.site.strayMounts).needing(" / ")}, absence{}
		},
	},
	{
		ID: "fs.ro.write", Family: "fs", Severity: High, Expect: Contain,
		What:    "Write to a file of the host's in each directory that is shared read-only.",
		Why:     "Read-only is what makes a shared directory bearable: a guest that writes there writes into the host's work.",
		Control: "The host writes to that file before and after and finds that in it; it never finds a nonce of the probe.",
		Remedy:  "Mount it read-only on the host's side too: a guest that is root of its own kernel remounts as it likes.",
		Source:  "srt rename bypass tests", Where: "Where a read-only directory is declared and its place on the host is known.",
		aims: (*rig).readOnlyAims,
	},
	{
		ID: "fs.device-nodes", Family: "fs", Severity: Medium, Expect: Contain,
		What:    "Make device nodes of disks and of memory, and open them.",
		Why:     "A node is a name for hardware: on a shared kernel the disk behind it is the host's.",
		Control: lookControl, Remedy: "Give the sandbox no CAP_MKNOD, mount it nodev, and let the device controller deny what is not listed.",
		Source: "CDK (mknod escapes)", Where: ownWhere,
		aims: unlessOwnKernel("a device node", looks(look(agent.Devices, "", madeNodes).needing("mknod "))),
	},
}

// decoyAims look by m at decoys in dirs, wherever a sandbox may have them.
func (r *rig) decoyAims(m agent.Method, dirs ...string) ([]aim, absence) {
	decoys, none := r.plant(dirs...)
	var aims []aim
	for _, d := range decoys {
		for _, prefix := range hostPrefixes {
			a := look(m, prefix+d.path, d.shows())
			a.post = d.post
			aims = append(aims, a)
		}
	}
	return aims, none
}

// commonDirs are directories of the host that sandboxes tend to share by accident.
func (r *rig) commonDirs() []string {
	dirs := []string{os.TempDir(), "/var/tmp"}
	if home, err := os.UserHomeDir(); err == nil {
		dirs = append(dirs, home)
	}
	if cwd, err := os.Getwd(); err == nil {
		dirs = append(dirs, filepath.Dir(cwd))
	}
	slices.Sort(dirs)
	return slices.Compact(dirs)
}

// readOnlyAims write to what is shared read-only.
func (r *rig) readOnlyAims() ([]aim, absence) {
	var aims []aim
	none := absence{why: "no directory of the host is declared as shared read-only"}
	for _, m := range r.site.Declared.Mounts {
		if !m.ReadOnly || m.Host == "" {
			continue
		}
		d, err := newDecoy(m.Host)
		if err != nil {
			none = absence{why: "nothing could be planted there: " + err.Error(), unproven: true}
			continue
		}
		r.undo = append(r.undo, d.Close)
		a := look(agent.Write, m.Guest+strings.TrimPrefix(d.path, m.Host), nil)
		a.post = &post{Target: Target{Name: d.path, Alive: d.write, Sightings: d.written}}
		aims = append(aims, a)
	}
	if len(aims) > 0 {
		none = absence{}
	}
	return aims, none
}

// madeNodes are the nodes that the guest made and opened, other than those that any container may open.
func madeNodes(reply []byte) string {
	var opened []string
	for _, line := range lines(reply) {
		f := strings.Fields(line)
		if len(f) == 4 && f[0] == "mknod" && f[3] == "opened" && !matches(f[1]+" "+f[2], "c 1:[35789]", "c 5:[012]") {
			opened = append(opened, f[1]+" "+f[2])
		}
	}
	return undeclared("opened device nodes of its own making", opened)
}

// nonces are those that b has, each on a line of its own or after a blank.
func nonces(b []byte) []echo.Nonce {
	var all []echo.Nonce
	for word := range strings.FieldsSeq(string(b)) {
		if n := echo.Nonce(word); n.Valid() {
			all = append(all, n)
		}
	}
	return all
}
