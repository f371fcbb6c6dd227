// Package proc runs the commands of a gate so that a cancelled run leaves none of them behind.
package proc

import (
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// Grace is how long a cancelled command has to end after SIGINT: Ginkgo tears its bottles down in that time.
const Grace = 45 * time.Second

// Command is exec.CommandContext in a process group of its own, with this process's environment and env after it. When ctx ends
// the group gets one SIGINT (a terminal's Ctrl-C does not reach the group, and Ginkgo takes a second SIGINT for "do not
// clean up") and, Grace later, SIGKILL.
func Command(ctx context.Context, env []string, name string, args ...string) *exec.Cmd {
	return command(ctx, Grace, env, name, args...)
}

func command(ctx context.Context, grace time.Duration, env []string, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = append(os.Environ(), env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.WaitDelay = grace + 5*time.Second
	cmd.Cancel = func() error {
		group := -cmd.Process.Pid
		time.AfterFunc(grace, func() { _ = syscall.Kill(group, syscall.SIGKILL) })
		return syscall.Kill(group, syscall.SIGINT)
	}
	return cmd
}

// Run runs a command with both its streams going to w.
func Run(ctx context.Context, w io.Writer, dir string, env []string, name string, args ...string) error {
	cmd := Command(ctx, env, name, args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, w, w
	return Named(cmd, cmd.Run())
}

// Output runs a command and returns its standard output, without blanks at either end. What it wrote to standard error is in
// the error.
func Output(ctx context.Context, dir string, env []string, name string, args ...string) (string, error) {
	cmd := Command(ctx, env, name, args...)
	cmd.Dir = dir
	out, err := cmd.Output()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok && len(exit.Stderr) > 0 {
		err = errors.Join(err, errors.New(strings.TrimSpace(string(exit.Stderr))))
	}
	return strings.TrimSpace(string(out)), Named(cmd, err)
}

// Named wraps err, where there is one, with the command line it is about.
func Named(cmd *exec.Cmd, err error) error {
	if err == nil {
		return nil
	}
	return &runError{strings.Join(cmd.Args, " "), err}
}

// A runError is one command that failed.
type runError struct {
	line string
	err  error
}

func (e *runError) Error() string { return e.line + ": " + e.err.Error() }

func (e *runError) Unwrap() error { return e.err }
