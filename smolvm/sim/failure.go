//go:build linux

package sim

import (
	"errors"
	"fmt"
	"strings"
	"syscall"
)

// Error texts are smolvm's (src/data/errors.rs, unchanged from v0.8.0 to v1.9.3): clients branch on their prefixes.

// A failure is a runtime error: "Error: <text>" on stderr, exit 1.
type failure struct {
	text string
	err  error // the cause, nil for none
}

func (f *failure) Error() string { return f.text }
func (f *failure) Unwrap() error { return f.err }

func operationError(kind, op, format string, args ...any) *failure {
	why := fmt.Errorf(format, args...)
	return &failure{text: kind + " operation failed: " + op + ": " + why.Error(), err: errors.Unwrap(why)}
}

func configError(op, format string, args ...any) *failure {
	return operationError("config", op, format, args...)
}

func agentError(op, format string, args ...any) *failure {
	return operationError("agent", op, format, args...)
}

func databaseError(op string, err error) *failure { return operationError("database", op, "%w", err) }

func notFoundError(name string) *failure { return &failure{text: "vm not found: " + name} }

func notRunningError(name string) *failure {
	return agentError("connect", "machine '%s' is not running. Use 'smolvm machine start --name %s' first.", name, name)
}

// unsimulatedError refuses what the real smolvm would do and the simulator cannot: never silently ignored.
func unsimulatedError(what string) *failure {
	return &failure{text: fmt.Sprintf("smolvm-sim does not simulate %s yet", what)}
}

// A usageError is clap's: "error: <text>", a blank line, the usage, exit 2.
type usageError struct {
	text  string
	usage string // without the word "Usage"; "" prints none
}

func (u *usageError) Error() string { return u.text }

func (u *usageError) print() string {
	var b strings.Builder
	fmt.Fprintf(&b, "error: %s\n", u.text)
	if u.usage != "" {
		fmt.Fprintf(&b, "\nUsage: %s\n", u.usage)
	}
	b.WriteString("\nFor more information, try '--help'.\n")
	return b.String()
}

// rustText spells an error as Rust's std::io::Error does: "No such file or directory (os error 2)".
func rustText(err error) string {
	var errno syscall.Errno
	if !errors.As(err, &errno) {
		return err.Error()
	}
	s := errno.Error()
	return fmt.Sprintf("%s%s (os error %d)", strings.ToUpper(s[:1]), s[1:], int(errno))
}
