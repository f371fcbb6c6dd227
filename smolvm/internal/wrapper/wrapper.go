// Package wrapper is the shell command that smolvm.Client puts around a guest's command, and the mark it leaves.
//
// smolvm passes the guest's exit code through and uses 1 for its own failures too, so the code alone cannot say who failed.
// The wrapper prints a line with a nonce and the command's exit code after the command has ended: a stderr without it
// means that the guest's command was not run to its end, whatever the exit code says.
//
// The guest can read the nonce in its parent's argv, so the mark tells failures apart and proves nothing about the guest.
package wrapper

import (
	"bytes"
	"slices"
	"strconv"
	"strings"
)

// script runs "$@" and reports its exit code. The exec in a subshell takes the program named and never a builtin of the shell,
// so that "exit" or "cd" cannot end the wrapper. The shell's own remarks ("Killed") go to /dev/null, or they would look like the
// command's stderr. Seen to behave alike in dash and bash.
const script = `n=$1; shift; exec 3>&2 2>/dev/null; (exec "$@") 2>&3 3>&-; rc=$?; printf '\n%s:%d\n' "$n" "$rc" >&3; exit "$rc"`

// Wrap returns the command that runs argv and then leaves Mark(nonce, its exit code) on stderr.
func Wrap(nonce string, argv []string) []string {
	return append([]string{"sh", "-c", script, "sh", nonce}, argv...)
}

// UnwrapPlain takes apart what Plain has made.
func UnwrapPlain(argv []string) (guest []string, ok bool) {
	head := Plain(nil)
	if len(argv) <= len(head) || !slices.Equal(argv[:len(head)], head) {
		return nil, false
	}
	return argv[len(head):], true
}

// Plain returns the command that becomes argv and leaves no mark, with the same exit codes where there is nothing to run.
func Plain(argv []string) []string {
	return append([]string{"sh", "-c", `exec "$@"`, "sh"}, argv...)
}

// By is Wrap with waiter, the absolute path of a program in the guest that does what the script does; "" is Wrap. It costs the guest
// no shell: two programs' starts and a fork less.
func By(waiter, nonce string, argv []string) []string {
	if waiter == "" {
		return Wrap(nonce, argv)
	}
	return append([]string{waiter, waiterVerb, nonce}, argv...)
}

// waiterVerb is the waiter's first argument (probes/agent/waiter).
const waiterVerb = "run"

// NoncePrefix is what the nonces of this client begin with.
const NoncePrefix = "smolvm-"

// Unwrap takes apart what Wrap or By has made; ok is false for any other command.
func Unwrap(argv []string) (nonce string, guest []string, ok bool) {
	if len(argv) > 3 && argv[1] == waiterVerb && strings.HasPrefix(argv[0], "/") && strings.HasPrefix(argv[2], NoncePrefix) {
		return argv[2], argv[3:], true
	}
	head := Wrap("", nil)
	head = head[:len(head)-1]
	if len(argv) <= len(head)+1 || !slices.Equal(argv[:len(head)], head) {
		return "", nil, false
	}
	return argv[len(head)], argv[len(head)+1:], true
}

// Mark is what the wrapper prints on stderr after a command that ended with code.
func Mark(nonce string, code int) string {
	return "\n" + nonce + ":" + strconv.Itoa(code) + "\n"
}

// Strip removes the last complete mark of nonce from stderr and returns the exit code in it. Text may stand on both sides of it: a
// background process of the guest and smolvm itself write to the same stream. ok is false, and rest is stderr, when there is none.
func Strip(stderr []byte, nonce string) (rest []byte, code int, ok bool) {
	head := []byte("\n" + nonce + ":")
	for end := len(stderr); nonce != ""; {
		at := bytes.LastIndex(stderr[:end], head)
		if at < 0 {
			break
		}
		digits, after, closed := bytes.Cut(stderr[at+len(head):], []byte("\n"))
		if code, good := exitCode(digits); closed && good {
			return append(slices.Clone(stderr[:at]), after...), code, true
		}
		end = at
	}
	return stderr, 0, false
}

func exitCode(digits []byte) (int, bool) {
	code, err := strconv.ParseUint(string(digits), 10, 8)
	return int(code), err == nil
}
