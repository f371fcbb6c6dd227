package agent

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// socketPlaces are where sockets usually are: a guest's own, and below the places where a host's files are mounted. The number is how far
// below: a home is deep, and what is deep in it are somebody's sources.
var socketPlaces = []place{
	{"/run", 4}, {"/var/run", 4}, {"/tmp", 3}, {"/var/tmp", 2}, {"/dev", 2}, {"/root", 3}, {"/home", 4}, {"/mnt", 4}, {"/host", 4}, {"/srv", 1}, {"/var/lib", 2}, {"/", 0},
}

// A place is a directory, and how many directories below it are visited.
type place struct {
	dir   string
	depth int
}

const (
	mostDirs  = 10000 // of a walk: an ordinary host has a thousand in these places, and a look has the time for more
	unixTable = "/proc/self/net/unix"
)

// listSockets lists the unix sockets that there are as files, and those that the kernel tells of.
func listSockets(v *sight) error {
	table, err := contents(unixTable, 1<<20)
	for _, name := range boundNames(string(table)) {
		v.add(name)
	}
	v.walk(socketPlaces, func(path string, kind fs.FileMode) {
		if kind&fs.ModeSocket != 0 {
			v.add(path)
		}
	})
	if len(v.all) > 0 {
		return nil
	}
	return err
}

// boundNames are the names in a table in the form of /proc/net/unix; it has "@" for what begins an abstract one.
func boundNames(table string) []string {
	var all []string
	for line := range strings.Lines(table) {
		f := strings.Fields(line)
		if len(f) < 8 || f[0] == "Num" {
			continue
		}
		all = append(all, strings.TrimSuffix(line[strings.Index(line, " "+f[6]+" ")+len(f[6])+2:], "\n"))
	}
	return all
}

// kindOf is what is at path. Where something is mounted on a file, a directory's list has the kind of the file beneath: an engine that binds
// its socket into a container makes an empty file for it first.
func kindOf(path string, e fs.DirEntry) fs.FileMode {
	if !e.Type().IsRegular() {
		return e.Type()
	}
	info, err := os.Lstat(path)
	if err != nil {
		return e.Type()
	}
	return info.Mode().Type()
}

// mountedNames are the last elements of the paths that something is mounted at, nil where the kernel does not tell: most files need no
// second look, and some of a host's directories hold thousands.
func mountedNames() map[string]bool {
	table, err := contents("/proc/self/mountinfo", 1<<20)
	if err != nil {
		return nil
	}
	names := make(map[string]bool)
	for line := range strings.Lines(string(table)) {
		if f := strings.Fields(line); len(f) > 4 {
			names[filepath.Base(mountEscapes.Replace(f[4]))] = true
		}
	}
	return names
}

// mountEscapes undoes how mountinfo writes what would part its fields (proc(5)).
var mountEscapes = strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`)

// walk visits what is below the places, the nearest first, and follows no link. What may not be read has nothing to see; what is left out
// may have.
func (v *sight) walk(places []place, visit func(path string, kind fs.FileMode)) {
	queue := slices.Clone(places)
	mounted := mountedNames()
	for n := 0; n < len(queue) && !v.over(); n++ {
		here := queue[n]
		all, more, _ := entries(here.dir)
		v.cut = v.cut || more
		for _, e := range all {
			path := filepath.Join(here.dir, e.Name())
			kind := e.Type()
			if mounted == nil || mounted[e.Name()] {
				kind = kindOf(path, e)
			}
			visit(path, kind)
			switch {
			case !e.IsDir() || here.depth == 0:
			case len(queue) == mostDirs:
				v.cut = true
			default:
				queue = append(queue, place{path, here.depth - 1})
			}
		}
	}
}
