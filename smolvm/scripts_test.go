package smolvm

import "bottle.internal/smolvm/smolvmtest"

func machineReply(verb string, r smolvmtest.Reply) smolvmtest.Reply {
	r.Argv = []string{"machine", verb}
	return r
}

const (
	notFound   = "vm not found: m"
	notRunning = "agent operation failed: connect: machine 'm' is not running. Use 'smolvm machine start --name m' first."
)

// deleted is what a delete gets to hear that meets a machine, or none.
func deleted(there bool) func(Version) []smolvmtest.Reply {
	return func(v Version) []smolvmtest.Reply {
		var replies []smolvmtest.Reply
		if !v.has(deleteStops) {
			replies = append(replies, machineReply("stop", smolvmtest.Reply{Stdout: "Stopped machine: m\n"}))
		}
		if !v.has(deleteConfirms) {
			replies = append(replies, machineReply("data-dir", smolvmtest.Reply{Stdout: "/vms/0123456789abcdef\n"}))
		}
		if !there {
			return append(replies, machineReply("delete", failing(notFound)))
		}
		replies = append(replies, machineReply("delete", smolvmtest.Reply{Stdout: "Deleted machine: m\n"}))
		if !v.has(deleteConfirms) {
			replies = append(replies, machineReply("ls", smolvmtest.Reply{Stdout: "[]\n"}))
		}
		return replies
	}
}
