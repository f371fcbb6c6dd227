//go:build amd64 || arm64

package probes

import (
	"net"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// drops is how many datagrams the kernel had for conn and threw away, most likely because more came than were read. It is an error
// not to know.
func drops(conn net.PacketConn) (uint32, error) {
	sc, ok := conn.(syscall.Conn)
	if !ok {
		return 0, errNoDrops
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return 0, err
	}
	const count, dropped = 9, 8 // SK_MEMINFO_VARS and SK_MEMINFO_DROPS, linux/sock_diag.h
	var info [count]uint32
	size := uint32(unsafe.Sizeof(info))
	var errno syscall.Errno
	if err := raw.Control(func(fd uintptr) {
		_, _, errno = unix.Syscall6(unix.SYS_GETSOCKOPT, fd, unix.SOL_SOCKET, unix.SO_MEMINFO, uintptr(unsafe.Pointer(&info)), uintptr(unsafe.Pointer(&size)), 0)
	}); err != nil {
		return 0, err
	}
	if errno != 0 {
		return 0, errno
	}
	return info[dropped], nil
}
