package agent

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// listDescriptors lists the sockets that the agent was started with. The agent's own close on exec, so those of another's making are the ones
// that do not.
func listDescriptors(v *sight) error {
	const dir = "/proc/self/fd"
	all, more, err := entries(dir)
	v.cut = more
	for _, e := range all {
		fd, err := strconv.Atoi(e.Name())
		if err != nil || fd <= 2 {
			continue
		}
		if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != nil || flags&unix.FD_CLOEXEC != 0 {
			continue
		}
		if what, err := os.Readlink(filepath.Join(dir, e.Name())); err == nil && strings.HasPrefix(what, "socket:") {
			v.add(e.Name(), what)
		}
	}
	return err
}
