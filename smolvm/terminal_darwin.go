package smolvm

import "syscall"

// The requests that read a terminal's settings, and that set them at once.
const (
	getTermios = syscall.TIOCGETA
	setTermios = syscall.TIOCSETA
)
