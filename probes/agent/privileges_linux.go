package agent

import (
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// programDirs are where programs are that may run as somebody else.
var programDirs = []string{
	"/bin", "/sbin", "/usr/bin", "/usr/sbin", "/usr/local/bin", "/usr/local/sbin", "/usr/libexec", "/usr/lib/openssh", "/usr/lib/dbus-1.0", "/usr/lib/polkit-1",
}

// listPrivileges lists what the agent may do more than nobody, and the programs that may do more than it.
func listPrivileges(v *sight) error {
	status, err := contents("/proc/self/status", 64<<10)
	if err != nil {
		return err
	}
	v.add("uid", strconv.Itoa(os.Geteuid()))
	v.add("gid", strconv.Itoa(os.Getegid()))
	for line := range strings.Lines(string(status)) {
		key, value, _ := strings.Cut(line, ":")
		if name, ok := statusNames[key]; ok {
			v.add(append([]string{name}, strings.Fields(value)...)...)
		}
	}
	seen := make(map[string]bool)
	for _, dir := range programDirs {
		if dir, err = filepath.EvalSymlinks(dir); err == nil && !seen[dir] {
			seen[dir] = true
			v.addSetID(dir)
		}
	}
	return nil
}

// statusNames are what the facts are called that proc(5) has in a status.
var statusNames = map[string]string{
	"Groups": "groups", "CapEff": "capeff", "CapBnd": "capbnd", "NoNewPrivs": "no_new_privs", "Seccomp": "seccomp",
}

func (v *sight) addSetID(dir string) {
	all, more, _ := entries(dir)
	v.cut = v.cut || more
	for _, e := range all {
		if !e.Type().IsRegular() {
			continue
		}
		if info, err := e.Info(); err == nil && info.Mode()&(fs.ModeSetuid|fs.ModeSetgid) != 0 {
			v.add("setid", filepath.Join(dir, e.Name()))
		}
	}
}
