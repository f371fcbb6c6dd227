//go:build linux

package sim

import (
	"log"
	"math"
	"os"

	"golang.org/x/sys/unix"
)

// Run is the program: the command line on this process's own arguments, environment and streams, or, where a machine starts
// it again, one of the machine's processes. It returns the exit code.
func Run() int {
	// Descriptors inherited from whoever ran this, a test harness say, must reach neither a supervisor nor a guest.
	if err := unix.CloseRange(3, math.MaxInt32, unix.CLOSE_RANGE_CLOEXEC); err != nil {
		log.Printf("close_range: %v", err)
		return 1
	}
	args := os.Args[1:]
	switch {
	case len(args) == 2 && args[0] == hiddenBoot:
		return supervise(args[1])
	case len(args) == 1 && args[0] == hiddenHelper:
		return help()
	case len(args) == 1 && args[0] == hiddenUsers:
		return holdUsers()
	case len(args) == 1 && args[0] == hiddenInit:
		return initialize()
	}
	return Main(args, os.Environ(), os.Stdin, os.Stdout, os.Stderr)
}
