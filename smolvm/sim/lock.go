//go:build linux

package sim

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// A vmLock is a machine's vm.lock. It belongs to the open file and not to a process: start takes it and the supervisor, which
// inherits the descriptor, holds it for as long as it lives.
type vmLock struct{ file *os.File }

func openLock(path string) (vmLock, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	return vmLock{f}, err
}

// try takes the lock if it is free.
func (l vmLock) try() (bool, error) {
	err := unix.Flock(int(l.file.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return false, nil
	}
	return err == nil, err
}

// close gives this process's hold up, not the supervisor's.
func (l vmLock) close() { _ = l.file.Close() }
