//go:build unix

package target

import (
	"os/exec"
	"syscall"
)

// ownGroup has the end of cmd's context end all that cmd has started and that has stayed in its group. They are told first: a launcher
// may have to clean up.
func ownGroup(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }
}
