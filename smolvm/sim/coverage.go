//go:build linux

package sim

import (
	"os"
	"runtime/debug"
	"strconv"
	"sync"
)

// covered reports whether this program counts what runs of it (go build -cover).
var covered = sync.OnceValue(func() bool {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return false
	}
	for _, s := range info.Settings {
		if s.Key == "-cover" && s.Value == "true" {
			return true
		}
	}
	return false
})

// machineEnvironment is that of a machine's own processes: none, but for the directory that a counting program writes to. It is
// an open one, after the other files: a helper hides its path, and a guest's root has none of that name.
func machineEnvironment(files ...*os.File) ([]string, []*os.File) {
	if !covered() {
		return []string{}, files
	}
	dir, err := os.Open(os.Getenv("GOCOVERDIR"))
	if err != nil {
		return []string{}, files
	}
	return []string{"GOCOVERDIR=/proc/self/fd/" + strconv.Itoa(3+len(files))}, append(files, dir)
}
