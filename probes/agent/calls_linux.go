package agent

import (
	"errors"
	"os"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// calls make system calls that only the privileged may. Each is made so that it does nothing where it is allowed: with an argument that the
// kernel looks at after it has looked at who calls, or to make something that is gone when its descriptor is closed.
var calls = map[string]func() error{
	"tun":          makeTUN,
	"bpf":          loadProgram,
	"kexec":        loadKernel,
	"init_module":  loadModule,
	"userfaultfd":  func() error { return opened(unix.Syscall(unix.SYS_USERFAULTFD, unix.O_CLOEXEC|unix.O_NONBLOCK, 0, 0)) },
	"perf":         watchMachine,
	"mount":        mountNothing,
	"unshare-user": newUserNamespace,
	"keyctl":       askKeyring,
	"ptrace-init":  readInit,
	"iopl":         raisePrivilege,
}

// tryCall makes the call named in Path. It is told as allowed, or fails as the call did.
func tryCall(v *sight) error {
	call, ok := calls[v.Path]
	if !ok {
		call, ok = powers[v.Path]
	}
	if !ok {
		return unix.EINVAL
	}
	if err := call(); err != nil {
		return err
	}
	v.add("allowed")
	return nil
}

// opened closes what a call has opened.
func opened(fd, _ uintptr, errno syscall.Errno) error {
	if errno != 0 {
		return errno
	}
	return unix.Close(int(fd))
}

// passed takes the error for none that a call has only after it looked at who calls.
func passed(err error, late ...unix.Errno) error {
	for _, e := range late {
		if errors.Is(err, e) {
			return nil
		}
	}
	return err
}

// makeTUN makes an interface that goes with its descriptor.
func makeTUN() error {
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|openFlags, 0)
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(fd) }()
	req, err := unix.NewIfreq("bottle%d")
	if err != nil {
		return err
	}
	req.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI)
	return unix.IoctlIfreq(fd, unix.TUNSETIFF, req)
}

// What is loaded is a filter that returns 0. They are variables of the package because the kernel is told their addresses as numbers, and what
// is on a stack may move.
var (
	bpfProgram = [2]uint64{0xb7, 0x95} // BPF_ALU64|BPF_MOV|BPF_K r0, 0; BPF_JMP|BPF_EXIT
	bpfLicense = [4]byte{'G', 'P', 'L'}
)

// loadProgram loads a socket filter, and attaches it to nothing.
func loadProgram() error {
	attr := struct {
		kind, count      uint32
		program, license uint64
		_                [24]uint32
	}{
		kind: unix.BPF_PROG_TYPE_SOCKET_FILTER, count: uint32(len(bpfProgram)),
		program: uint64(uintptr(unsafe.Pointer(&bpfProgram))), license: uint64(uintptr(unsafe.Pointer(&bpfLicense))),
	}
	return opened(unix.Syscall(unix.SYS_BPF, unix.BPF_PROG_LOAD, uintptr(unsafe.Pointer(&attr)), unsafe.Sizeof(attr)))
}

// loadKernel has one segment more than a kernel may have (KEXEC_SEGMENT_MAX): with none at all it would unload the one that is loaded.
func loadKernel() error {
	_, _, errno := unix.Syscall6(unix.SYS_KEXEC_LOAD, 0, 17, 0, 0, 0, 0)
	return passed(errnoOrNil(errno), unix.EINVAL)
}

// loadModule loads a module of one byte, which is none.
func loadModule() error {
	return passed(unix.InitModule([]byte{0}, ""), unix.ENOEXEC)
}

// watchMachine counts on a processor whoever runs there, from never on.
func watchMachine() error {
	attr := unix.PerfEventAttr{Type: unix.PERF_TYPE_SOFTWARE, Config: unix.PERF_COUNT_SW_CPU_CLOCK, Bits: unix.PerfBitDisabled}
	attr.Size = uint32(unsafe.Sizeof(attr))
	fd, err := unix.PerfEventOpen(&attr, -1, 0, -1, unix.PERF_FLAG_FD_CLOEXEC)
	if err != nil {
		return err
	}
	return unix.Close(fd)
}

// mountNothing binds no directory to the root.
func mountNothing() error {
	return passed(unix.Mount("", "/", "", unix.MS_BIND, ""), unix.EINVAL)
}

// newUserNamespace starts a program that there is not in a user namespace: a thread cannot have one of its own.
func newUserNamespace() error {
	_, err := syscall.ForkExec("/proc/self/none", nil, &syscall.ProcAttr{Sys: &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWUSER}})
	return passed(err, unix.ENOENT)
}

// askKeyring asks for the session's keyring, and not to make one.
func askKeyring() error {
	_, err := unix.KeyctlGetKeyringID(unix.KEY_SPEC_SESSION_KEYRING, false)
	return passed(err, unix.ENOKEY)
}

// readInit reads at address 0 of init, where nothing is. An init in the agent's own mount namespace is the guest's: that it may be traced is no
// way out, and of another there is none.
func readInit() error {
	var b byte
	local := []unix.Iovec{{Base: &b}}
	local[0].SetLen(1)
	_, err := unix.ProcessVMReadv(1, local, []unix.RemoteIovec{{Base: 0, Len: 1}}, 0)
	if err := passed(err, unix.EFAULT); err != nil {
		return err
	}
	own, err := os.Readlink("/proc/self/ns/mnt")
	if init, e := os.Readlink("/proc/1/ns/mnt"); err == nil && e == nil && own == init {
		return unix.ENOENT
	}
	return nil
}

func errnoOrNil(errno syscall.Errno) error {
	if errno == 0 {
		return nil
	}
	return errno
}
