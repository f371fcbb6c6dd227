//go:build linux || darwin

package smolvm

import (
	"os"
	"syscall"
	"unsafe"
)

// termios reads the settings that only a terminal has.
func termios(f *os.File) (settings syscall.Termios, ok bool) {
	return settings, termiosCall(f, getTermios, &settings)
}

func isTerminal(f *os.File) bool {
	_, ok := termios(f)
	return ok
}

// keepTermios returns what gives a terminal back the settings it has now. Output that nobody reads does not hold it up.
func keepTermios(f *os.File) (restore func()) {
	settings, ok := termios(f)
	if !ok {
		return func() {}
	}
	return func() { termiosCall(f, setTermios, &settings) }
}

func termiosCall(f *os.File, request uintptr, settings *syscall.Termios) bool {
	_, _, errno := syscall.Syscall(syscall.SYS_IOCTL, f.Fd(), request, uintptr(unsafe.Pointer(settings)))
	return errno == 0
}
