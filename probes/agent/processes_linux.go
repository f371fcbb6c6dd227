package agent

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// processes are the numbers of those that the guest sees, in order.
func processes() ([]int, error) {
	f, err := os.Open("/proc")
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	names, err := f.Readdirnames(-1)
	var pids []int
	for _, name := range names {
		if pid, err := strconv.Atoi(name); err == nil {
			pids = append(pids, pid)
		}
	}
	slices.Sort(pids)
	return pids, err
}

// listProcesses lists processes with their names and roots. One that ended meanwhile is none.
func listProcesses(v *sight) error {
	pids, err := processes()
	if err != nil {
		return err
	}
	v.ordered = true
	for _, pid := range pids {
		if v.over() {
			break
		}
		dir := filepath.Join("/proc", strconv.Itoa(pid))
		comm, err := contents(filepath.Join(dir, "comm"), 64)
		if err != nil {
			continue
		}
		root, err := os.Readlink(filepath.Join(dir, "root"))
		if err != nil {
			root = "?"
		}
		v.add(strconv.Itoa(pid), strings.TrimSuffix(string(comm), "\n"), root)
	}
	return nil
}
