package agent

import (
	"strings"
	"time"
)

// A sight is a look under way: the attempt and what it found so far.
type sight struct {
	Attempt
	facts
	until    time.Time // early enough to tell what was found
	verbatim []byte    // instead of facts
}

// over reports whether the time is up; what is not found by then the reply does not have.
func (v *sight) over() bool {
	late := time.Now().After(v.until)
	v.cut = v.cut || late
	return late
}

// A looker looks at one thing in the guest and notes what is there. That there is nothing is no error.
type looker func(v *sight) error

var lookers = map[Method]looker{
	Read: readFile, List: listNames, Write: writeFile, Create: createFile, Leave: leaveFile, FollowLink: followLink, HardLink: hardLink,
	Search: searchText, Sockets: listSockets, Families: tryFamilies, Mounts: listMounts,
	Privileges: listPrivileges, SysCall: tryCall, Devices: listDevices, Processes: listProcesses,
	Limits: listLimits, FDs: listDescriptors,
}

// look carries out a look.
func look(a Attempt, r *Result, start time.Time) error {
	r.Stage = StageRead
	v := &sight{Attempt: a, until: start.Add(a.Budget() * 3 / 4)}
	if err := lookers[a.Method](v); err != nil {
		return err
	}
	if r.Reply = v.verbatim; r.Reply == nil {
		r.Reply = v.reply()
	}
	r.Stage = StageDone
	return nil
}

// listMounts tells what is mounted, in the kernel's own words.
func listMounts(v *sight) error {
	b, err := contents("/proc/self/mountinfo", 1<<20)
	if err != nil {
		return err
	}
	v.ordered = true
	for line := range strings.Lines(string(b)) {
		v.add(strings.TrimSuffix(line, "\n"))
	}
	return nil
}
