package probes

import (
	"runtime"
	"syscall"
)

// sizeOfHost is what this host has.
func sizeOfHost() hostSize {
	size := hostSize{cpus: runtime.NumCPU()}
	var info syscall.Sysinfo_t
	if syscall.Sysinfo(&info) == nil {
		size.memory = uint64(info.Totalram) * uint64(info.Unit)
	}
	var fs syscall.Statfs_t
	if syscall.Statfs("/", &fs) == nil && fs.Bsize > 0 {
		size.disk = fs.Blocks * uint64(fs.Bsize)
	}
	return size
}
