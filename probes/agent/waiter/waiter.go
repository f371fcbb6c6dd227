package waiter

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
)

// Verb is the first argument of a command line that is the waiter's: VERB NONCE PROGRAM [ARGUMENT]...
const Verb = "run"

// The exit codes of a command that could not be run, as a shell has them.
const (
	cannotRun = 126
	notFound  = 127
)

// Is reports whether args, without the program's name, are the waiter's.
func Is(args []string) bool { return len(args) >= 3 && args[0] == Verb }

// Main runs the command in args, which Is has taken for the waiter's, on this process' own streams, and returns its exit code; 128
// and the number where a signal ended it, 127 where there is no such program, 126 where it cannot be run. The mark goes to stderr.
func Main(args []string, stderr io.Writer) int {
	nonce, argv := args[1], args[2:]
	code := wait(argv, stderr)
	_, _ = fmt.Fprintf(stderr, "\n%s:%d\n", nonce, code)
	return code
}

// wait tries the programs that execvp would, in its order.
func wait(argv []string, stderr io.Writer) int {
	code, bare := notFound, ""
	for _, path := range search(argv[0]) {
		state, err := try(path, argv)
		switch {
		case err == nil:
			return exitOf(state)
		case errors.Is(err, syscall.ENOEXEC) && bare == "":
			bare = path
		case !errors.Is(err, syscall.ENOENT) && !errors.Is(err, syscall.ENOTDIR):
			code = cannotRun
		}
	}
	if bare != "" { // a script that names no interpreter
		if state, err := try("/bin/sh", append([]string{"/bin/sh", bare}, argv[1:]...)); err == nil {
			return exitOf(state)
		}
		code = cannotRun
	}
	_, _ = fmt.Fprintf(stderr, "%s: %s\n", argv[0], map[int]string{notFound: "not found", cannotRun: "cannot be run"}[code])
	return code
}

// search lists where program may be.
func search(program string) []string {
	if program == "" || strings.Contains(program, "/") {
		return []string{program}
	}
	path, ok := os.LookupEnv("PATH")
	if !ok {
		path = "/bin:/usr/bin"
	}
	var out []string
	for _, dir := range strings.Split(path, ":") {
		if dir != "" {
			dir += "/"
		}
		out = append(out, dir+program)
	}
	return out
}

// try runs the file at path to its end; an error says that it did not start.
func try(path string, argv []string) (*os.ProcessState, error) {
	p, err := os.StartProcess(path, argv, &os.ProcAttr{Files: []*os.File{os.Stdin, os.Stdout, os.Stderr}})
	if err != nil {
		return nil, err
	}
	return p.Wait()
}

func exitOf(state *os.ProcessState) int {
	if status, ok := state.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return 128 + int(status.Signal())
	}
	return state.ExitCode()
}
