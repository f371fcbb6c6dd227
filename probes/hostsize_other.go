//go:build !linux

package probes

import (
	"runtime"

	"golang.org/x/sys/unix"
)

// sizeOfHost is what this host has.
func sizeOfHost() hostSize {
	size := hostSize{cpus: runtime.NumCPU()}
	if memory, err := unix.SysctlUint64("hw.memsize"); err == nil {
		size.memory = memory
	}
	return size
}
