package probes

import (
	"path"
	"slices"
	"strings"
)

// A mountLine is a line of mountinfo, as far as it tells whose files are there.
type mountLine struct {
	device string // major:minor
	root   string // within the file system
	point  string
	kind   string
}

// parseMount reads a line of /proc/self/mountinfo (proc(5)), and reports false for what is none.
func parseMount(line string) (mountLine, bool) {
	before, after, ok := strings.Cut(line, " - ")
	f, g := strings.Fields(before), strings.Fields(after)
	if !ok || len(f) < 6 || len(g) < 1 {
		return mountLine{}, false
	}
	return mountLine{device: f[2], root: f[3], point: f[4], kind: g[0]}, true
}

// kernelKinds are file systems that a kernel makes up; they are nobody's files. tmpfs is not among them: whose it is, its place
// tells.
var kernelKinds = []string{
	"proc", "sysfs", "devpts", "devtmpfs", "cgroup", "cgroup2", "mqueue", "securityfs", "debugfs", "tracefs", "configfs", "bpf", "pstore",
	"hugetlbfs", "binfmt_misc", "fusectl", "efivarfs", "rootfs", "autofs", "selinuxfs", "smackfs",
}

// sharedKinds are file systems that bring a host's files into a VM.
var sharedKinds = []string{"virtiofs", "9p", "fuse", "fuse.*", "nfs", "nfs4", "cifs", "smb3", "vboxsf", "prl_fs", "vmhgfs*", "drvfs"}

// ownPoints are where any guest keeps something in memory.
var ownPoints = []string{"/tmp", "/run", "/run/*", "/var/run", "/dev", "/dev/*", "/proc/*", "/proc/*/*", "/sys/*", "/sys/*/*"}

// enginePoints are where any guest has files of whatever kind: its root, and what engines put over an image's files and beside them
// (docker, podman, Kubernetes). A directory of the host's is anybody's everywhere else, /tmp and /run too.
var enginePoints = []string{
	"/", "/etc/hosts", "/etc/hostname", "/etc/resolv.conf", "/sbin/docker-init", "/run/podman-init", "/run/.containerenv", "/dev/termination-log",
}

// strayMounts are the mounts in a mountinfo that are neither any guest's nor declared.
func (s Site) strayMounts(reply []byte) string {
	var stray []string
	var all []mountLine
	own := make(map[string]bool) // devices of the guest's own memory
	for _, line := range lines(reply) {
		if m, ok := parseMount(line); ok {
			all = append(all, m)
			own[m.device] = own[m.device] || m.kind == "tmpfs" && m.root == "/" && matches(m.point, ownPoints...)
		}
	}
	for _, m := range all {
		// Engines mask files of /proc by a piece of the guest's own /dev.
		masked := own[m.device] && strings.HasPrefix(m.point, "/proc/")
		if s.strays(m) && !masked && !slices.Contains(stray, m.String()) {
			stray = append(stray, m.String())
		}
	}
	return undeclared("mounts that nobody declared", stray)
}

func (s Site) strays(m mountLine) bool {
	for _, d := range s.Declared.Mounts {
		if matches(m.point, d.Guest) {
			return false
		}
	}
	if s.ownKernel() {
		return m.point != "/" && matches(m.kind, sharedKinds...)
	}
	switch {
	case slices.Contains(kernelKinds, m.kind), matches(path.Clean(m.point), enginePoints...):
		return false
	case m.kind == "tmpfs":
		return m.root != "/" || !matches(m.point, ownPoints...)
	case m.kind == "fuse.lxcfs": // a container's own view of the kernel's numbers
		return !strings.HasPrefix(m.point, "/proc/") && !strings.HasPrefix(m.point, "/sys/")
	}
	return true
}

func (m mountLine) String() string {
	return m.point + " (" + m.kind + " " + m.device + " " + m.root + ")"
}
