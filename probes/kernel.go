package probes

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"bottle.internal/probes/agent"
)

const bootIDPath = "/proc/sys/kernel/random/boot_id"

// kernelProbes are the probes of families kernel, priv, dev and proc: whose kernel it is, and what the guest may do with it.
var kernelProbes = []Probe{
	{
		ID: "kernel.distinct", Family: "kernel", Severity: Critical, Expect: Contain,
		What:    "Compare the boot id of the guest's kernel with the host's.",
		Why:     "A sandbox that is sold as a VM and shares the host's kernel is one kernel bug away from the host. Where it was declared a VM, this is what shows it.",
		Control: "The id is random, made at boot, and the host reads its own: a guest that has the same runs on the same kernel. The same batch reads " + glancePath + ".",
		Remedy:  "It is a container: run it as a VM, or declare it one.",
		Source:  "the defending-code harness by way of sandy#245; an engine that fell back to a container without a word",
		Where:   "On a Linux host. On another the guest's kernel, which is a Linux, cannot be the host's; a container that is declared one shares it; on the simulator it is shared by construction.",
		aims:    unlessSimulated((*rig).bootAims),
	},
	{
		ID: "kernel.attack-surface", Family: "kernel", Severity: Medium, Expect: Contain,
		What:    "Make system calls that only the privileged of a kernel may: load a module or another kernel, mount, trace, program the kernel, reboot, swap, set the clock, open files by handle, change namespaces. Each is made so that it does nothing where it is allowed.",
		Why:     "On a shared kernel each of them is the host's, and each has been a way out: an opened handle reads any file of the host's disk, a reboot is the host's, a clock that is set outdates its certificates.",
		Control: lookControl, Remedy: "Keep the container's default seccomp profile and capabilities, and set kernel.unprivileged_bpf_disabled and vm.unprivileged_userfaultfd.",
		Source: "am-i-isolated; shocker.c (open_by_handle_at, 2014); wso2#1854 (a fact of a container misleads in a VM)", Where: ownWhere + " On the simulator the kernel is the host's by construction: not applicable.",
		aims: unlessSimulated(unlessOwnKernel("a privileged call", surfaceAims)),
	},
	{
		ID: "priv.identity", Family: "priv", Severity: Medium, Expect: Contain,
		What:    "Compare the capabilities of a process in the guest with those that are declared, which are a container's default if nothing is.",
		Why:     "A capability beyond the default is a privilege on the host's kernel that somebody added.",
		Control: lookControl, Remedy: "Drop what is not needed, or declare it.",
		Source: "codex NoNewPrivs tests; docker's default profile", Where: ownWhere,
		aims: unlessOwnKernel("a capability", func(r *rig) ([]aim, absence) {
			return []aim{look(agent.Privileges, "", r.site.Declared.strayCapabilities).needing("capeff ")}, absence{}
		}),
	},
	{
		ID: "dev.inventory", Family: "dev", Severity: Medium, Expect: Contain,
		What:    "List the device nodes in the guest, and compare those that lead to hardware or to a hypervisor with the ones declared.",
		Why:     "A GPU, a disk, /dev/kvm or /dev/mem in a sandbox is hardware of the host's with a driver's whole interface.",
		Control: "/dev/null is on the list. " + lookControl, Remedy: "Take the device out, or declare it.",
		Source: "CDK; nvidia container toolkit CVE-2024-0132", Where: "Everywhere but on the simulator, whose few nodes are the host's by construction. In a VM its own disks do not count.",
		aims: unlessSimulated(func(r *rig) ([]aim, absence) {
			return []aim{look(agent.Devices, "", r.site.strayDevices).needing("/dev/null")}, absence{}
		}),
	},
	{
		ID: "proc.host-visible", Family: "proc", Severity: High, Expect: Contain,
		What:    "List the processes that the guest sees, and look for the one that does the probing on the host.",
		Why:     "Who sees a process may signal it, read its environment, or enter its root: the host's processes are the host.",
		Control: "The host knows its own process by number and name, and it is there for as long as the probe runs. " + lookControl, Remedy: "Give the sandbox a pid namespace of its own.",
		Source: "srt (its test of process visibility)", Where: "On a Linux host; on another the guest's kernel has other processes by construction.",
		aims: (*rig).processAims,
	},
}

func (r *rig) bootAims() ([]aim, absence) {
	id := hostFile(bootIDPath)
	switch {
	case r.site.Declared.Boundary == Container:
		return nil, absence{why: "the sandbox is declared a container, which shares the host's kernel"}
	case runtime.GOOS != "linux":
		return nil, absence{why: "this host is " + runtime.GOOS + " and the guest runs Linux, so the kernel is not the host's"}
	case id == "":
		return nil, absence{why: "this host tells no boot id", unproven: true}
	}
	return []aim{look(agent.Read, bootIDPath, is("the guest's kernel has the host's boot id: it is the host's kernel", id)).needing("-")}, absence{}
}

// privilegedCalls are asked for by the agent in a way that does no harm where it is allowed.
var privilegedCalls = []string{"kexec", "init_module", "bpf", "perf", "userfaultfd", "mount", "keyctl", "iopl", "ptrace-init", "reboot", "swapon", "settimeofday", "open-by-handle", "setns"}

func surfaceAims(*rig) ([]aim, absence) {
	var aims []aim
	for _, name := range privilegedCalls {
		aims = append(aims, call(name))
	}
	return aims, absence{}
}

// capabilities are their names by number (capability.h).
var capabilities = []string{
	"chown", "dac_override", "dac_read_search", "fowner", "fsetid", "kill", "setgid", "setuid", "setpcap", "linux_immutable",
	"net_bind_service", "net_broadcast", "net_admin", "net_raw", "ipc_lock", "ipc_owner", "sys_module", "sys_rawio", "sys_chroot", "sys_ptrace",
	"sys_pacct", "sys_admin", "sys_boot", "sys_nice", "sys_resource", "sys_time", "sys_tty_config", "mknod", "lease", "audit_write",
	"audit_control", "setfcap", "mac_override", "mac_admin", "syslog", "wake_alarm", "block_suspend", "audit_read", "perfmon", "bpf", "checkpoint_restore",
}

// defaultCapabilities are what container engines leave to root.
var defaultCapabilities = []string{
	"chown", "dac_override", "fowner", "fsetid", "kill", "setgid", "setuid", "setpcap", "net_bind_service", "net_raw", "sys_chroot", "mknod",
	"audit_write", "setfcap",
}

// strayCapabilities are those in effect that are neither a container's default nor declared.
func (d Declared) strayCapabilities(reply []byte) string {
	mask, err := strconv.ParseUint(fact(reply, "capeff"), 16, 64)
	if err != nil {
		return ""
	}
	var stray []string
	for bit := range 64 {
		if mask&(1<<bit) == 0 {
			continue
		}
		name := strconv.Itoa(bit)
		if bit < len(capabilities) {
			name = capabilities[bit]
		}
		if !slices.Contains(defaultCapabilities, name) && !slices.Contains(d.Capabilities, name) {
			stray = append(stray, name)
		}
	}
	return undeclared("capabilities that nobody declared", stray)
}

var (
	// hardware are nodes that lead out of a guest, whatever its kernel.
	hardware = []string{
		"/dev/kvm", "/dev/dri/*", "/dev/kfd", "/dev/nvidia*", "/dev/nvidia-caps/*", "/dev/vfio/*", "/dev/vhost-*", "/dev/bus/usb/*/*", "/dev/usb/*",
		"/dev/snd/*", "/dev/video*", "/dev/hidraw*", "/dev/sg*", "/dev/cdrom", "/dev/accel/*", "/dev/infiniband/*", "/dev/tpm*", "/dev/sgx*",
	}
	// kernels are nodes that are the host's where the kernel is.
	kernels = []string{
		"/dev/mem", "/dev/kmem", "/dev/port", "/dev/kmsg", "/dev/sd*", "/dev/nvme*", "/dev/vd*", "/dev/xvd*", "/dev/mmcblk*", "/dev/loop*", "/dev/dm-*",
		"/dev/mapper/*", "/dev/fuse", "/dev/net/tun", "/dev/uinput", "/dev/input/*", "/dev/mtd*", "/dev/rtc*", "/dev/watchdog*", "/dev/btrfs-control",
	}
)

// strayDevices are the nodes in a list of them that lead to the host and are not declared.
func (s Site) strayDevices(reply []byte) string {
	var stray []string
	for _, line := range lines(reply) {
		f := strings.SplitN(line, " ", 3)
		if len(f) != 3 || f[0] == "mknod" || matches(f[2], s.Declared.Devices...) {
			continue
		}
		if matches(f[2], hardware...) || !s.ownKernel() && matches(f[2], kernels...) {
			stray = append(stray, f[2])
		}
	}
	return undeclared("devices that nobody declared", stray)
}

// processAims look for this very process.
func (r *rig) processAims() ([]aim, absence) {
	if runtime.GOOS != "linux" {
		return nil, absence{why: "this host is " + runtime.GOOS + ", and the guest's Linux has other processes"}
	}
	name := hostFile("/proc/self/comm")
	if name == "" {
		name = filepath.Base(os.Args[0])
	}
	self := fmt.Sprintf("%d %s", os.Getpid(), name)
	return []aim{look(agent.Processes, "", func(reply []byte) string {
		for _, line := range lines(reply) {
			if line == self || strings.HasPrefix(line, self+" ") {
				return "the guest sees the host's process " + self
			}
		}
		return ""
	}).needing("\n")}, absence{}
}
