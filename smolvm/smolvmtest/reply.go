package smolvmtest

import (
	"encoding/json"
	"fmt"
	"slices"
	"syscall"
	"time"
	"unicode/utf8"
)

// A Reply is what the fake does with one call. The zero Reply takes any call and exits 0 without a word.
type Reply struct {
	// Argv must begin the call's arguments; nil takes any.
	Argv []string `json:",omitempty"`
	// Command must begin the guest's command of a `machine exec`; nil does not look at it.
	Command []string `json:",omitempty"`
	// Times is how many calls the reply is for: 0 is one, AnyTimes any number and none.
	Times int `json:",omitempty"`

	// Delay passes before the answer.
	Delay time.Duration `json:",omitempty"`
	// Deaf ignores interrupts meanwhile.
	Deaf bool `json:",omitempty"`
	// Handler names the function given to Main whose Reply is played in place of this one, in the fake's process; "" is none.
	Handler string `json:",omitempty"`

	// Download is written to the host path of a `machine cp` out of the guest.
	Download string `json:",omitempty"`
	// Pack is written to what the -o of a `pack create` makes the pack's path.
	Pack string `json:",omitempty"`
	// Serve, if not nil, makes a `serve start` answer on its socket until it is interrupted.
	Serve *Server `json:",omitempty"`
	// Stdout and Stderr are printed as they are. What is not UTF-8 can only come from a Handler.
	Stdout, Stderr string `json:",omitempty"`
	// Guest, if not nil, is a guest's command that ran to its end: its output follows Stdout and Stderr, then the report
	// that the client waits for, and its exit code is the fake's. The call must be one that smolvm.Client.Exec made.
	Guest *Guest `json:",omitempty"`
	// Exit is the exit code where there is no Guest.
	Exit int `json:",omitempty"`
	// Signal, if not 0, ends the fake in place of an exit.
	Signal syscall.Signal `json:",omitempty"`
}

// A Guest is the end of a guest's command.
type Guest struct {
	Stdout, Stderr string
	Exit           int
}

// AnyTimes is the Reply.Times of a reply that may be used over and over, or not at all.
const AnyTimes = -1

// Version answers `smolvm --version`, any number of times. release is "1.9.3" or "1.9.3 (simulated)".
func Version(release string) Reply {
	return Reply{Argv: []string{"--version"}, Times: AnyTimes, Stdout: "smolvm " + release + "\n"}
}

// A Handler makes up the reply to a call. It runs in the fake's process, which lives for that one call: what it is to
// remember it keeps in files below Call.State.
type Handler func(Call) Reply

// A script is what New leaves for the fake.
type script struct {
	InOrder bool
	Replies []Reply
}

// encode is s as JSON, which would replace what is not UTF-8 without a word.
func (s script) encode() ([]byte, error) {
	for i, r := range s.Replies {
		texts := r.Stdout + r.Stderr + r.Download + r.Pack
		if r.Guest != nil {
			texts += r.Guest.Stdout + r.Guest.Stderr
		}
		if !utf8.ValidString(texts) {
			return nil, fmt.Errorf("reply %d is not UTF-8: only a Handler can give it", i)
		}
	}
	return json.Marshal(s)
}

func (r Reply) takes(c Call) bool {
	if !begins(c.Argv, r.Argv) {
		return false
	}
	if r.Command == nil {
		return true
	}
	e, ok := c.Exec()
	return ok && begins(e.Argv, r.Command)
}

func begins(argv, prefix []string) bool {
	return len(argv) >= len(prefix) && slices.Equal(argv[:len(prefix)], prefix)
}

func (r Reply) left(used int) bool { return r.Times == AnyTimes || used < max(r.Times, 1) }

// choose is the index of the first reply that takes c and is not used up, -1 for none. used counts the calls per reply so far. In order, a
// reply is due only when all before it are used up.
func (s script) choose(c Call, used map[int]int) int {
	for i, r := range s.Replies {
		if !r.left(used[i]) {
			continue
		}
		if r.takes(c) {
			return i
		}
		if s.InOrder && r.Times != AnyTimes {
			break
		}
	}
	return -1
}
