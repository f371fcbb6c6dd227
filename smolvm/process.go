package smolvm

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"time"
)

// A call is one run of smolvm.
type call struct {
	argv  []string // after the program
	env   []string // besides what every call gets
	dir   string   // "" is the caller's
	limit time.Duration
	stdin io.Reader // nil is /dev/null
	// stdout and stderr get what smolvm prints while it runs; nil is kept for the outcome.
	stdout, stderr io.Writer
	// terminal is handed to smolvm in place of stdin and stdout, as the file it is.
	terminal *terminal
	// apart puts smolvm in a process group of its own, so that Ctrl-C in a terminal reaches this program only, which cancels in its
	// own order: an interrupt in the middle of `machine start` leaves a VM that nothing lists.
	apart bool
}

// An outcome is how a smolvm process ended.
type outcome struct {
	argv           []string // with the program
	stdout, stderr []byte
	exit           int // -1: not started, or killed
	elapsed        time.Duration
	begun, cut     bool // there was a process; it came to no exit of its own
}

// failure is o as an error that means err.
func (o outcome) failure(err error) *Error {
	return &Error{Argv: o.argv, ExitCode: o.exit, Stderr: string(o.stderr), Err: err}
}

// run is start, takes every exit code but 0 for a failure, and tries again when the database was locked.
func (c *Client) run(ctx context.Context, k call) (o outcome, err error) {
	err = c.again(ctx, strings.Join(k.argv[:min(len(k.argv), 2)], " "), func() error {
		o, err = c.start(ctx, k)
		if err == nil && o.exit != 0 {
			err = o.failure(classify(o.exit, string(o.stderr)))
		}
		return err
	})
	return o, err
}

// start is the one place where a smolvm process is made and waited for. Its error, an *Error but for a Client that cannot run
// anything, says that the process did not come to an exit of its own.
func (c *Client) start(ctx context.Context, k call) (outcome, error) {
	path, err := c.program()
	if err != nil {
		return outcome{exit: -1}, err
	}
	env, err := c.environment(k.env)
	if err != nil {
		return outcome{exit: -1}, err
	}
	ctx, release := context.WithTimeoutCause(ctx, k.limit,
		fmt.Errorf("%w: smolvm did not end within %s", context.DeadlineExceeded, k.limit))
	defer release()
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)

	cmd := exec.CommandContext(ctx, path, c.rewritten(k.argv)...)
	cmd.Env, cmd.Dir = env, k.dir
	full := func() { end(ErrOutputLimit) }
	stdout, stderr := &capture{full: full}, &capture{full: full}
	cmd.Stdout, cmd.Stderr = piped(k.stdout, stdout), piped(k.stderr, stderr)
	if err := feed(cmd, k); err != nil {
		return outcome{argv: cmd.Args, exit: -1}, err
	}
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = cmp.Or(c.Grace, defaultGrace)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: k.apart}

	began := time.Now()
	err = cmd.Run()
	o := outcome{
		argv: cmd.Args, stdout: stdout.got.Bytes(), stderr: stderr.got.Bytes(),
		exit: -1, elapsed: time.Since(began),
	}
	if cmd.ProcessState != nil {
		o.begun, o.exit = true, cmd.ProcessState.ExitCode()
	}
	if err = ending(ctx, cmd, err); err != nil {
		o.cut = o.begun
		err = o.failure(err)
	}
	if c.observe != nil {
		c.observe(k, o)
	}
	c.logf("%s: %s in %s", render(o.argv), describe(o.exit, err), o.elapsed.Round(time.Millisecond))
	return o, err
}

func (c *Client) rewritten(argv []string) []string {
	if c.Rewrite == nil {
		return argv
	}
	return c.Rewrite(slices.Clone(argv))
}

// piped is w, else instead, as a writer that gets a pipe: with a file for its stdout smolvm was seen to fail without a word.
func piped(w io.Writer, instead *capture) io.Writer {
	if w == nil {
		return instead
	}
	return struct{ io.Writer }{w}
}

// feed gives cmd its stdin. What is no file goes through a pipe that nobody waits for: a reader may block when the command has ended.
func feed(cmd *exec.Cmd, k call) error {
	file, ok := k.stdin.(*os.File)
	switch {
	case k.terminal != nil:
		cmd.Stdin, cmd.Stdout = k.terminal.in, k.terminal.out
	case ok:
		cmd.Stdin = file
	case k.stdin != nil:
		pipe, err := cmd.StdinPipe()
		if err != nil {
			return err
		}
		go func() {
			_, _ = io.Copy(pipe, k.stdin) // a command that does not read to the end is no failure
			_ = pipe.Close()
		}()
	}
	return nil
}

// ending is why the process came to no exit of its own; nil when it did.
func ending(ctx context.Context, cmd *exec.Cmd, err error) error {
	var exited *exec.ExitError
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return over(ctx)
	case cmd.ProcessState == nil:
		if errors.Is(err, os.ErrNotExist) || errors.Is(err, os.ErrPermission) {
			return fmt.Errorf("%w: %w", ErrNotInstalled, err)
		}
		return err
	case cmd.ProcessState.ExitCode() < 0:
		return err // "signal: killed"
	case errors.As(err, &exited), errors.Is(err, exec.ErrWaitDelay):
		// ErrWaitDelay: a process it left behind holds the pipes, and what it wrote itself is in.
		return nil
	}
	return err
}

// over is why ctx is over. A cause does not hide what callers ask for: errors.Is(err, context.DeadlineExceeded).
func over(ctx context.Context) error {
	err, cause := ctx.Err(), context.Cause(ctx)
	if errors.Is(cause, ErrOutputLimit) || errors.Is(cause, err) {
		return cause
	}
	return fmt.Errorf("%w: %w", err, cause)
}

func describe(exit int, err error) string {
	var e *Error
	if errors.As(err, &e) && e.Err != nil {
		return e.Err.Error()
	}
	return fmt.Sprintf("exit %d", exit)
}

// maxOutput bounds what one stream may bring into memory: a guest is not trusted to stop.
const maxOutput = 64 << 20

// A capture collects a stream up to maxOutput and calls full when more comes. The buffer is no embedded one: io.Copy would find its
// ReadFrom and never ask Write.
type capture struct {
	got  bytes.Buffer
	full func()
}

func (c *capture) Write(p []byte) (int, error) {
	if c.got.Len()+len(p) > maxOutput {
		c.full()
		return 0, ErrOutputLimit
	}
	return c.got.Write(p)
}
