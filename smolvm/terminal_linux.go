package smolvm

import (
	"os"
	"syscall"
	"unsafe"
)

// isTerminal asks for the settings that only a terminal has.
func isTerminal(f *os.File) bool {
	var settings syscall.Termios
	_, _, errno := syscall.Syscall(syscall.SYS_IOCTL, f.Fd(), syscall.TCGETS, uintptr(unsafe.Pointer(&settings)))
	return errno == 0
}
