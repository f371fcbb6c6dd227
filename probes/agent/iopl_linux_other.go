//go:build linux && !amd64

package agent

import (
	"golang.org/x/sys/unix"
)

// raisePrivilege is of x86 alone.
func raisePrivilege() error { return unix.ENOSYS }
