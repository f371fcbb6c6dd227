//go:build linux

package sim

import (
	"fmt"
	"runtime"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	capSysAdmin = unix.CAP_SYS_ADMIN
	capSetUID   = unix.CAP_SETUID
)

// guestCapabilities are docker's default set without what concerns networks and devices. Without any, su and package
// managers fail.
var guestCapabilities = []uint{
	unix.CAP_CHOWN, unix.CAP_DAC_OVERRIDE, unix.CAP_FSETID, unix.CAP_FOWNER, unix.CAP_SETGID, unix.CAP_SETUID, unix.CAP_SETFCAP,
	unix.CAP_SETPCAP, unix.CAP_SYS_CHROOT, unix.CAP_KILL, unix.CAP_AUDIT_WRITE,
}

// capable reports whether this thread has a capability in effect.
func capable(c uint) bool {
	head := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	return unix.Capget(&head, &data[0]) == nil && data[c/32].Effective&(1<<(c%32)) != 0
}

// confine gives up, on every thread of this process and for every process after it, all capabilities but the guest's, the way to
// regain any, AF_VSOCK, and being looked into by the guest. The bounding set stays as it is: under no_new_privs an execve
// gives no capability that the thread did not have (capabilities(7)), and every call on all threads costs a start milliseconds.
func confine() error {
	mask := uint64(0)
	for _, c := range guestCapabilities {
		mask |= 1 << c
	}
	if _, _, e := syscall.AllThreadsSyscall6(unix.SYS_PRCTL, unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0, 0); e != 0 {
		return fmt.Errorf("no_new_privs: %w", e)
	}
	head := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	half := func(shift uint) unix.CapUserData {
		v := uint32(mask >> shift)
		return unix.CapUserData{Effective: v, Permitted: v}
	}
	data := [2]unix.CapUserData{half(0), half(32)}
	_, _, e := syscall.AllThreadsSyscall(unix.SYS_CAPSET, uintptr(unsafe.Pointer(&head)), uintptr(unsafe.Pointer(&data[0])), 0)
	runtime.KeepAlive(&data)
	if e != 0 {
		return fmt.Errorf("capset: %w", e)
	}
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return fmt.Errorf("dumpable: %w", err)
	}
	return filterSockets()
}

// filterSockets makes socket(AF_VSOCK) fail with EAFNOSUPPORT. Vsock addresses belong to no network namespace: on a host that is
// itself a VM, CID 2 is its hypervisor, and a packet would leave the machine.
func filterSockets() error {
	const (
		offsetNumber, offsetArg0 = 0, 16 // of struct seccomp_data, little endian
		load                     = unix.BPF_LD | unix.BPF_W | unix.BPF_ABS
		equal                    = unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K
		result                   = unix.BPF_RET | unix.BPF_K
	)
	program := []unix.SockFilter{
		{Code: load, K: offsetNumber},
		{Code: equal, K: uint32(unix.SYS_SOCKET), Jt: 0, Jf: 3},
		{Code: load, K: offsetArg0},
		{Code: equal, K: unix.AF_VSOCK, Jt: 0, Jf: 1},
		{Code: result, K: unix.SECCOMP_RET_ERRNO | uint32(unix.EAFNOSUPPORT)},
		{Code: result, K: unix.SECCOMP_RET_ALLOW},
	}
	prog := unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]}
	_, _, e := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_TSYNC, uintptr(unsafe.Pointer(&prog)))
	runtime.KeepAlive(program)
	if e != 0 {
		return fmt.Errorf("seccomp: %w", e)
	}
	return nil
}
