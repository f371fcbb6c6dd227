package agent

import (
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// noBound is told where there is no bound, and unknown where none can be found out.
const noBound, unknown = "max", "-"

// rlimits are the ones that a guest could exhaust something within.
var rlimits = map[string]int{
	"as": unix.RLIMIT_AS, "core": unix.RLIMIT_CORE, "fsize": unix.RLIMIT_FSIZE, "memlock": unix.RLIMIT_MEMLOCK, "nofile": unix.RLIMIT_NOFILE, "nproc": unix.RLIMIT_NPROC,
}

// listLimits lists how much of the machine the guest may take. Of a process's own bounds it is the hard one that binds.
func listLimits(v *sight) error {
	groups, _ := contents("/proc/self/cgroup", 64<<10)
	for name, b := range groupBounds {
		v.add(name, b.of(string(groups), cgroupRoot))
	}
	for name, which := range rlimits {
		var r unix.Rlimit
		value := unknown
		switch err := unix.Prlimit(0, which, nil, &r); {
		case err == nil && r.Max == unix.RLIM_INFINITY:
			value = noBound
		case err == nil:
			value = strconv.FormatUint(r.Max, 10)
		}
		v.add("rlimit."+name, value)
	}
	var info unix.Sysinfo_t
	if unix.Sysinfo(&info) == nil {
		v.add("mem_total", strconv.FormatUint(uint64(info.Totalram)*uint64(info.Unit), 10))
	}
	var set unix.CPUSet
	if unix.SchedGetaffinity(os.Getpid(), &set) == nil {
		v.add("cpus", strconv.Itoa(set.Count()))
	}
	var fs unix.Statfs_t
	if unix.Statfs("/", &fs) == nil && fs.Bsize > 0 {
		v.add("disk_total", strconv.FormatUint(fs.Blocks*uint64(fs.Bsize), 10))
	}
	return nil
}
