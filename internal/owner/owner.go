// Package owner names the process that owns a resource, so that a later run can tell what a killed run left behind from what
// is alive: a pid alone comes round again, a pid with its start time and the boot it belongs to does not.
package owner

import (
	"fmt"
	"os"
	"strconv"
	"strings"
)

// An ID is "boot/pid/start". It is comparable and safe in a label and in JSON.
type ID string

// Self is the ID of this process.
func Self() ID {
	id, err := of(os.Getpid())
	if err != nil {
		// Without a start time Alive answers false for us, and a sweep would take what is ours.
		panic(fmt.Sprintf("owner: cannot read this process's own start time: %v", err))
	}
	return id
}

// Alive reports whether the process that id names still runs on this boot. Text that is no ID is not alive.
func Alive(id ID) bool {
	parts := strings.Split(string(id), "/")
	if len(parts) != 3 {
		return false
	}
	pid, err := strconv.Atoi(parts[1])
	if err != nil || pid <= 0 {
		return false
	}
	now, err := of(pid)
	return err == nil && now == id
}

// PID is the process number in id, 0 when id is none.
func (id ID) PID() int {
	parts := strings.Split(string(id), "/")
	if len(parts) != 3 {
		return 0
	}
	pid, _ := strconv.Atoi(parts[1])
	return pid
}

func of(pid int) (ID, error) {
	boot, err := bootID()
	if err != nil {
		return "", err
	}
	start, err := startTime(pid)
	if err != nil {
		return "", err
	}
	return ID(fmt.Sprintf("%s/%d/%s", boot, pid, start)), nil
}
