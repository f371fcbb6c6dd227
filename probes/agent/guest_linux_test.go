package agent

import (
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestLookListsPrivileges(t *testing.T) {
	r := looked(t, Privileges, "")
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		if value, ok := strings.CutPrefix(line, "CapEff:\t"); ok {
			r.sees(t, "capeff "+strings.TrimSpace(value))
		}
		if value, ok := strings.CutPrefix(line, "NoNewPrivs:\t"); ok {
			r.sees(t, "no_new_privs "+strings.TrimSpace(value))
		}
	}
	r.sees(t, "uid "+strconv.Itoa(os.Getuid()), "gid "+strconv.Itoa(os.Getgid()))
	if su, err := exec.LookPath("su"); err == nil {
		if su, err = filepath.EvalSymlinks(su); err == nil {
			r.sees(t, "setid "+su)
		}
	}
	for _, line := range r.told() {
		if name, ok := strings.CutPrefix(line, "setid "); ok {
			if info, err := os.Stat(name); err != nil || info.Mode()&(os.ModeSetuid|os.ModeSetgid) == 0 {
				t.Errorf("%s: %v", line, err)
			}
		}
	}
}

// Who lacks the privilege is refused, who has it is told, and neither leaves a trace.
func TestLookTriesCalls(t *testing.T) {
	before := traces(t)
	for name, c := range map[string]struct {
		capability int
		allowed    []string // what root has: it depends on the kernel
		refused    []string
	}{
		"tun":            {unix.CAP_NET_ADMIN, []string{"", "ENOENT"}, []string{"EPERM", "ENOENT"}},
		"bpf":            {unix.CAP_SYS_ADMIN, []string{"", "ENOSYS"}, nil},
		"kexec":          {unix.CAP_SYS_BOOT, []string{"", "ENOSYS"}, []string{"EPERM", "ENOSYS"}},
		"init_module":    {unix.CAP_SYS_MODULE, []string{"", "ENOSYS"}, []string{"EPERM", "ENOSYS"}},
		"userfaultfd":    {unix.CAP_SYS_PTRACE, []string{"", "ENOSYS"}, nil},
		"perf":           {unix.CAP_PERFMON, []string{"", "ENOENT", "ENOSYS"}, nil},
		"mount":          {unix.CAP_SYS_ADMIN, []string{""}, []string{"EPERM"}},
		"unshare-user":   {unix.CAP_SYS_ADMIN, []string{""}, nil},
		"keyctl":         {unix.CAP_SYS_ADMIN, []string{"", "ENOSYS"}, nil},
		"ptrace-init":    {unix.CAP_SYS_PTRACE, []string{"", "ENOENT", "EPERM"}, []string{"EPERM", "ENOENT"}},
		"reboot":         {unix.CAP_SYS_BOOT, []string{""}, []string{"EPERM"}},
		"swapon":         {unix.CAP_SYS_ADMIN, []string{"", "ENOSYS"}, []string{"EPERM", "ENOSYS"}},
		"settimeofday":   {unix.CAP_SYS_TIME, []string{""}, []string{"EPERM"}},
		"setns":          {unix.CAP_SYS_ADMIN, []string{""}, []string{"EPERM"}},
		"open-by-handle": {unix.CAP_DAC_READ_SEARCH, []string{"", "ENOSYS"}, []string{"EPERM", "ENOSYS"}},
		"iopl":           {unix.CAP_SYS_RAWIO, []string{"", "ENOSYS"}, []string{"EPERM", "ENOSYS"}},
		"none":           {unix.CAP_SYS_ADMIN, []string{"EINVAL"}, []string{"EINVAL"}},
		"":               {unix.CAP_SYS_ADMIN, []string{"EINVAL"}, []string{"EINVAL"}},
	} {
		r := looked(t, SysCall, name)
		if !slices.Contains(c.allowed, r.Errno) || (r.Errno == "") != (string(r.Reply) == "allowed\n") {
			t.Errorf("%s: errno %q, %q", name, r.Errno, r.Reply)
		}
		if c.refused == nil {
			continue
		}
		unprivileged(t, func() {
			if r := looked(t, SysCall, name); !slices.Contains(c.refused, r.Errno) {
				t.Errorf("%s without the capability: errno %q, %q", name, r.Errno, r.Reply)
			}
		}, c.capability)
	}
	for _, name := range slices.Concat(slices.Collect(maps.Keys(calls)), slices.Collect(maps.Keys(powers))) {
		if r := looked(t, SysCall, name); r.Observation == ProbeError {
			t.Errorf("%s: errno %q", name, r.Errno)
		}
	}
	if after := traces(t); !slices.Equal(before, after) {
		t.Errorf("there were %q and are %q", before, after)
	}
}

// traces are what calls would leave: interfaces, descriptors, and what is mounted on the root. The machine is not the test's alone, so nothing
// else is looked at.
func traces(t *testing.T) []string {
	t.Helper()
	var all []string
	links, err := os.ReadDir("/sys/class/net")
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range links {
		if strings.HasPrefix(l.Name(), "bottle") {
			all = append(all, l.Name())
		}
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(mounts)) {
		if f := strings.Fields(line); len(f) > 4 && f[4] == "/" {
			all = append(all, line)
		}
	}
	open, err := filepath.Glob("/proc/self/fd/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, fd := range open {
		what, _ := os.Readlink(fd) // the one that listed them is closed
		for _, kind := range []string{"bpf", "perf_event", "userfaultfd", "/dev/net/tun"} {
			if strings.Contains(what, kind) {
				all = append(all, what)
			}
		}
	}
	return all
}

func TestLookListsDevices(t *testing.T) {
	r := looked(t, Devices, "")
	r.sees(t, "c 1:3 /dev/null", "c 1:5 /dev/zero", "mknod c 1:3 opened")
	unprivileged(t, func() { looked(t, Devices, "").sees(t, "c 1:3 /dev/null", "mknod c 1:3 EPERM", "mknod b 8:0 EPERM") })
}

func TestDisks(t *testing.T) {
	const table = "major minor  #blocks  name\n\n 254        0  268435456 vda\n   7        1    1024 loop1\n"
	if got := fmt.Sprint(disks(table)); got != "[b 254:0 b 7:1]" {
		t.Error(got)
	}
}

func TestLookListsProcesses(t *testing.T) {
	cmd := exec.CommandContext(t.Context(), "sleep", "60")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	comm, err := os.ReadFile("/proc/self/comm")
	if err != nil {
		t.Fatal(err)
	}
	r := looked(t, Processes, "")
	r.sees(t, fmt.Sprintf("%d %s /", os.Getpid(), strings.TrimSpace(string(comm))), fmt.Sprintf("%d sleep /", cmd.Process.Pid))
	if !strings.HasPrefix(string(r.Reply), "1 ") {
		t.Errorf("the first is not init: %.40q", r.Reply)
	}
}

func TestLookListsLimits(t *testing.T) {
	r := looked(t, Limits, "")
	facts := make(map[string]string)
	for _, line := range r.told() {
		name, value, _ := strings.Cut(line, " ")
		facts[name] = value
	}
	var hard unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &hard); err != nil {
		t.Fatal(err)
	}
	if facts["rlimit.nofile"] != strconv.FormatUint(hard.Max, 10) {
		t.Errorf("nofile %q, want %d", facts["rlimit.nofile"], hard.Max)
	}
	for _, name := range []string{"cpus", "mem_total", "disk_total"} {
		if n, err := strconv.ParseUint(facts[name], 10, 64); err != nil || n == 0 {
			t.Errorf("%s %q", name, facts[name])
		}
	}
	for _, name := range []string{"memory.max", "pids.max", "cpu.max"} {
		if facts[name] == "" {
			t.Errorf("no %s", name)
		}
	}
}

func TestGroupBounds(t *testing.T) {
	for name, c := range map[string]struct {
		groups            string
		files             map[string]string
		memory, pids, cpu string
	}{
		"none":  {"", nil, "-", "-", "-"},
		"empty": {"0::/\n", nil, "-", "-", "-"},
		"second version": {"0::/\n", map[string]string{"memory.max": "268435456\n", "pids.max": "max\n", "cpu.max": "50000 100000\n"},
			"268435456", "max", "50000 100000"},
		"tightest above": {"0::/a/b\n", map[string]string{
			"a/b/memory.max": "max\n", "a/memory.max": "1000\n", "a/b/pids.max": "10\n", "a/pids.max": "20\n", "a/b/cpu.max": "max 100000\n", "a/cpu.max": "1000 50000\n",
		}, "1000", "10", "1000 50000"},
		"outside of what is mounted": {"0::/../..\n", map[string]string{"memory.max": "7\n"}, "7", "-", "-"},
		"first version": {"4:memory:/x\n3:cpu,cpuacct:/x\n2:pids:/\n1:name=systemd:/\n", map[string]string{
			"memory/x/memory.limit_in_bytes": "4096\n", "memory/memory.limit_in_bytes": "9223372036854771712\n", "pids/pids.max": "5\n",
			"cpu/x/cpu.cfs_quota_us": "20000\n", "cpu/x/cpu.cfs_period_us": "100000\n",
		}, "4096", "5", "20000 100000"},
		"first version, no bounds": {"4:memory:/\n3:cpu:/\n", map[string]string{
			"memory/memory.limit_in_bytes": "9223372036854771712\n", "cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n",
		}, "max", "-", "max 100000"},
		"nonsense": {"0::\nx\n::\n", map[string]string{"memory.max": "lots\n", "cpu.max": "1 0\n"}, "-", "-", "-"},
	} {
		root := t.TempDir()
		for name, text := range c.files {
			if err := os.MkdirAll(filepath.Dir(filepath.Join(root, name)), 0o700); err != nil {
				t.Fatal(err)
			}
			write(t, filepath.Join(root, name), text)
		}
		for bound, want := range map[string]string{"memory.max": c.memory, "pids.max": c.pids, "cpu.max": c.cpu} {
			if got := groupBounds[bound].of(c.groups, root); got != want {
				t.Errorf("%s: %s %q, want %q", name, bound, got, want)
			}
		}
	}
}
