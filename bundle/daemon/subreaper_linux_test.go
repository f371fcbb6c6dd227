package daemon

import "golang.org/x/sys/unix"

// becomeSubreaper makes this process inherit orphans, as PID 1 does.
func becomeSubreaper() { _ = unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) }
