package agent

import (
	"runtime"

	"golang.org/x/sys/unix"
)

// raisePrivilege lets this thread use the machine's ports, which it does not, for a moment.
func raisePrivilege() error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := unix.Iopl(3); err != nil {
		return err
	}
	return unix.Iopl(0)
}
