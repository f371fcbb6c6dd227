//go:build linux

package sim

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// A vmLock is a machine's vm.lock. It belongs to the open file and not to a process: start takes it and the supervisor, which
// inherits the descriptor, holds it for as long as it lives.
type vmLock struct {
	file *os.File
	turn *os.File // start.lock, nil without
}

func openLock(path string) (vmLock, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	return vmLock{file: f}, err
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
func (l vmLock) close() {
	_ = l.file.Close()
	_ = l.turn.Close() // nil has nothing to close
}

var errStarting = agentError("start machine", "another process is already starting or running this VM")

// takeTurn takes start.lock, or fails with errStarting. Who starts a machine has it until the start is recorded, and no supervisor inherits
// it: with the turn taken, a supervisor of a machine that is not on record as running is an orphan.
func (m machine) takeTurn() (*os.File, error) {
	turn, err := openLock(m.file(fileTurn))
	if err != nil {
		return nil, agentError("start machine", "lock: %w", err)
	}
	free, err := turn.try()
	if err == nil && free {
		return turn.file, nil
	}
	turn.close()
	if err != nil {
		return nil, agentError("start machine", "lock: %w", err)
	}
	return nil, errStarting
}
