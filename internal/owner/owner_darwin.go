package owner

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// bootID is the boot session's UUID, new at every boot.
func bootID() (string, error) { return unix.Sysctl("kern.bootsessionuuid") }

func startTime(pid int) (string, error) {
	info, err := unix.SysctlKinfoProc("kern.proc.pid", pid)
	if err != nil {
		return "", err
	}
	if int(info.Proc.P_pid) != pid || info.Proc.P_stat == 5 { // SZOMB of sys/proc.h
		return "", os.ErrProcessDone
	}
	return fmt.Sprintf("%d.%06d", info.Proc.P_starttime.Sec, info.Proc.P_starttime.Usec), nil
}
