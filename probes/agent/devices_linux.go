package agent

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// A node is a device by kind, 'b' or 'c', and numbers.
type node struct {
	kind         byte
	major, minor uint32
}

func (n node) String() string { return fmt.Sprintf("%c %d:%d", n.kind, n.major, n.minor) }

// usualNodes are made wherever it is: null, which any container may open, memory and ports, and the first disks of several drivers.
var usualNodes = []node{
	{'c', 1, 3}, {'c', 1, 1}, {'c', 1, 4}, {'b', 7, 0}, {'b', 8, 0}, {'b', 253, 0}, {'b', 254, 0}, {'b', 259, 0},
}

// mostDisks bounds those that the kernel tells of and that are tried.
const mostDisks = 8

// listDevices lists the device nodes that there are, and says of others whether they can be made and opened.
func listDevices(v *sight) error {
	v.walk([]place{{"/dev", 8}}, func(path string, kind fs.FileMode) {
		if kind&fs.ModeDevice == 0 {
			return
		}
		if n, ok := nodeAt(path); ok {
			v.add(n.String(), path)
		}
	})
	try := slices.Clone(usualNodes)
	table, _ := contents("/proc/partitions", MaxReply)
	for _, n := range disks(string(table)) {
		if !slices.Contains(try, n) {
			try = append(try, n)
		}
	}
	for _, n := range try {
		v.addLast("mknod", n.String(), v.open(n))
	}
	slices.Sort(v.last)
	return nil
}

func nodeAt(path string) (node, bool) {
	var st unix.Stat_t
	if unix.Lstat(path, &st) != nil {
		return node{}, false
	}
	n := node{major: unix.Major(st.Rdev), minor: unix.Minor(st.Rdev)}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFBLK:
		n.kind = 'b'
	case unix.S_IFCHR:
		n.kind = 'c'
	default:
		return node{}, false
	}
	return n, true
}

// disks are the first in a table in the form of /proc/partitions.
func disks(table string) []node {
	var all []node
	for line := range strings.Lines(table) {
		n := node{kind: 'b'}
		if _, err := fmt.Sscan(line, &n.major, &n.minor); err == nil && len(all) < mostDisks {
			all = append(all, n)
		}
	}
	return all
}

// open makes a node, opens it for reading, and takes it away. It is "opened", or the errno of the place that got furthest: a directory
// may take no nodes, or have them and let none be opened.
func (v *sight) open(n node) string {
	mode := uint32(unix.S_IFBLK)
	if n.kind == 'c' {
		mode = unix.S_IFCHR
	}
	var errno, made string
	for _, dir := range scratch {
		name := v.scratchName(dir)
		if err := unix.Mknod(name, mode|0o600, int(unix.Mkdev(n.major, n.minor))); err != nil {
			errno = furthest(errno, err)
			continue
		}
		fd, err := unix.Open(name, unix.O_RDONLY|openFlags, 0)
		_ = unix.Unlink(name)
		if err == nil {
			_ = unix.Close(fd)
			return "opened"
		}
		made = furthest(made, err)
	}
	if made != "" {
		return made
	}
	return errno
}

// furthest is the errno that says more: that of a missing directory says nothing.
func furthest(known string, err error) string {
	if known != "" && (errors.Is(err, unix.ENOENT) || errors.Is(err, unix.EROFS)) {
		return known
	}
	return errnoOf(err)
}
