package agent

import (
	"math"
	"path"
	"slices"
	"strconv"
	"strings"
)

// cgroupRoot is where control groups are mounted.
const cgroupRoot = "/sys/fs/cgroup"

// A groupBound is what a controller of control groups bounds.
type groupBound struct {
	controller string
	// read tells the bound of one group as the second version of control groups writes it, and how much that is. It reports false if dir
	// has none.
	read func(dir string) (text string, size float64, ok bool)
}

var groupBounds = map[string]groupBound{
	"memory.max": {"memory", readMemoryMax},
	"pids.max":   {"pids", func(dir string) (string, float64, bool) { return readBound(dir, "pids.max") }},
	"cpu.max":    {"cpu", readCPUMax},
}

// of is the tightest bound of the groups that a process is in and of those above them, given /proc/self/cgroup.
func (g groupBound) of(groups, root string) string {
	text, size := unknown, math.Inf(1)
	for _, dir := range groupDirs(groups, g.controller, root) {
		if t, s, ok := g.read(dir); ok && (text == unknown || s < size) {
			text, size = t, s
		}
	}
	return text
}

// groupDirs are the directories of a process's groups that a controller may have, each with those above it. Of the first version of control
// groups each controller has a tree; of the second there is one for all.
func groupDirs(groups, controller, root string) []string {
	var dirs []string
	for line := range strings.Lines(groups) {
		f := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(f) < 3 {
			continue
		}
		tree := root
		if f[1] != "" {
			tree = path.Join(root, controller)
		}
		if f[1] != "" && !slices.Contains(strings.Split(f[1], ","), controller) {
			continue
		}
		at := path.Join("/", f[2]) // may lead out of a namespace of groups, and then it ends at its root
		for ; at != "/"; at = path.Dir(at) {
			dirs = append(dirs, path.Join(tree, at))
		}
		dirs = append(dirs, tree)
	}
	return dirs
}

// unbounded is the least that the first version has for no bound of memory: the greatest multiple of a page, of which the greatest is 64 KiB.
const unbounded = math.MaxInt64 - 64<<10

func readMemoryMax(dir string) (string, float64, bool) {
	text, size, ok := readBound(dir, "memory.max")
	if !ok {
		text, size, ok = readBound(dir, "memory.limit_in_bytes")
	}
	if size >= unbounded {
		return noBound, math.Inf(1), ok
	}
	return text, size, ok
}

// readCPUMax tells a quota and its period, both in microseconds.
func readCPUMax(dir string) (string, float64, bool) {
	quota, period, ok := strings.Cut(groupFile(dir, "cpu.max"), " ")
	if !ok {
		quota, period = groupFile(dir, "cpu.cfs_quota_us"), groupFile(dir, "cpu.cfs_period_us")
	}
	if quota == "-1" {
		quota = noBound
	}
	size, known := boundSize(quota)
	per, err := strconv.ParseFloat(period, 64)
	return quota + " " + period, size / per, known && err == nil && per > 0
}

func readBound(dir, name string) (string, float64, bool) {
	text := groupFile(dir, name)
	size, ok := boundSize(text)
	return text, size, ok
}

func boundSize(text string) (float64, bool) {
	if text == noBound {
		return math.Inf(1), true
	}
	n, err := strconv.ParseUint(text, 10, 64)
	return float64(n), err == nil
}

func groupFile(dir, name string) string {
	b, _ := contents(path.Join(dir, name), 64)
	return strings.TrimSpace(string(b))
}
