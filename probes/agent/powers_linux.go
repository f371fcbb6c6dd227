package agent

import (
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// powers are the calls that act on a whole machine or reach past a mount.
var powers = map[string]func() error{
	"reboot":         restart,
	"swapon":         swapNothing,
	"settimeofday":   setNoTime,
	"open-by-handle": openStale,
	"setns":          enterOwnNamespace,
}

// restart asks for a reboot with numbers that are none, at which the kernel looks after it has looked at who calls (kernel/reboot.c).
func restart() error {
	_, _, errno := unix.Syscall6(unix.SYS_REBOOT, 0, 0, 0, 0, 0, 0)
	return passed(errnoOrNil(errno), unix.EINVAL)
}

// swapNothing asks to swap to a file without a name (mm/swapfile.c looks at the caller first).
func swapNothing() error {
	var name [1]byte
	_, _, errno := unix.Syscall(unix.SYS_SWAPON, uintptr(unsafe.Pointer(&name)), 0, 0)
	return passed(errnoOrNil(errno), unix.ENOENT)
}

// setNoTime sets neither the time nor the zone, which asks for the privilege all the same (kernel/time/time.c).
func setNoTime() error {
	_, _, errno := unix.Syscall(unix.SYS_SETTIMEOFDAY, 0, 0, 0)
	return errnoOrNil(errno)
}

// openStale opens, in the file system of the working directory, a file by a handle of a kind that no file system gives out. Where that is
// allowed a handle can be guessed of a file that no mount of the guest shows: that is how shocker.c left a container.
func openStale() error {
	dir, err := unix.Open("/", unix.O_RDONLY|unix.O_DIRECTORY|openFlags, 0)
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(dir) }()
	const invalid = 0xff // FILEID_INVALID
	fd, err := unix.OpenByHandleAt(dir, unix.NewFileHandle(invalid, make([]byte, 8)), unix.O_RDONLY|openFlags)
	if err == nil {
		return unix.Close(fd)
	}
	return passed(err, unix.ESTALE, unix.EOPNOTSUPP)
}

// enterOwnNamespace enters the UTS namespace that the thread is in, for which the kernel wants what it wants for any other.
func enterOwnNamespace() error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	fd, err := unix.Open("/proc/thread-self/ns/uts", unix.O_RDONLY|openFlags, 0)
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(fd) }()
	return unix.Setns(fd, unix.CLONE_NEWUTS)
}
