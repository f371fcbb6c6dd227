package smolvm

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"math"
	"time"

	"bottle.internal/smolvm/internal/wrapper"
)

// A Command is a program to run in a guest.
type Command struct {
	// Argv is the program and its arguments, verbatim: no shell reads them. The guest needs a `sh` or Waiter, which reports the exit code.
	Argv []string
	// Env holds KEY=VALUE, over the machine's own and the image's. A value has 32 KiB at most.
	Env []string
	// Dir is the absolute directory to start in; "" is the machine's.
	Dir string
	// Timeout ends the command in the guest; 0 is none. It counts in whole milliseconds, rounded up.
	Timeout time.Duration
	// Waiter is the absolute path of a program in the guest that runs Argv and reports its end, called as `Waiter run NONCE ARGV...`
	// (bottle-agent is one); "" has the guest's sh do it, which every guest has and which costs more than a short command.
	Waiter string
}

// A Result is a command that ended. Its standard input was empty.
type Result struct {
	// Stdout and Stderr are the command's own. Their order to each other is lost.
	Stdout, Stderr []byte
	// ExitCode is the command's: 127 when the guest has no such program, 126 when it cannot be run, 128 and the number when a
	// signal ended it.
	ExitCode int
	// Retries says why each earlier attempt was repeated; nil when the first one counted.
	Retries []string
}

const (
	// clientMargin is how much longer than the guest's timeout smolvm may take; it gives up by itself 5 s after it.
	clientMargin = 10 * time.Second
	smolvmMargin = 5 * time.Second
	// raceWindow is how fast a command must have died without a report to count as lost in a start race; seen at 100 ms.
	// What ran for longer has done something and is not run again.
	raceWindow = 3 * time.Second
	retryPause = 200 * time.Millisecond
	noLimit    = time.Duration(math.MaxInt64)
)

// Exec runs cmd in the machine and waits for it. A command that ended is a Result, whatever its exit code; an error says that smolvm
// or the guest failed before it did, and comes with what was printed until then.
//
// errors.Is(err, context.DeadlineExceeded) holds when ctx or cmd.Timeout ran out. ErrNotFound, ErrNotRunning: there is no such
// machine, or it is not up; ErrOutputLimit: more than 64 MiB. A command that was lost at once without a report, as happens right
// after a start and when two meet in one machine of an old release, is run a second time; Result.Retries and Logf say so.
// The guest can forge its exit code and its output.
func (c *Client) Exec(ctx context.Context, name string, cmd Command) (Result, error) {
	if err := cmd.check(name); err != nil {
		return Result{}, fmt.Errorf("running in %q: %w", name, err)
	}
	return c.execAgain(ctx, name, cmd, func() (Result, error) { return c.execOnce(ctx, name, cmd) }, func() bool { return true })
}

// execAgain waits for cmd's turn in the machine and calls once, and again where the command did not come to run: a second time when it was
// lost at once, and as often as for any call when the database was locked. repeatable says no once something was passed on.
func (c *Client) execAgain(ctx context.Context, name string, cmd Command, once func() (Result, error), repeatable func() bool) (Result, error) {
	v, err := c.release(ctx)
	if err != nil {
		return Result{}, err
	}
	leave, err := c.enter(ctx, v, name, cmd.Waiter)
	if err != nil {
		return Result{}, fmt.Errorf("running in %q: %w", name, err)
	}
	defer leave()
	var retries []string
	for pause, raced := lockedPause, false; ; pause *= 2 {
		res, err := once()
		res.Retries = retries
		why := lost(err)
		locked := errors.Is(err, errLocked)
		if why == "" || !repeatable() || raced && !locked || len(retries) == lockedTries-1 {
			return res, err
		}
		if !locked {
			raced, pause = true, retryPause
		}
		c.logf("%s: once more after %s", name, why)
		if !pauseFor(ctx, jitter(pause)) {
			return res, err
		}
		retries = append(retries, why)
	}
}

func (cmd Command) check(name string) error {
	if err := checkName(name); err != nil {
		return err
	}
	if err := checkArgv(cmd.Argv); err != nil {
		return err
	}
	if cmd.Timeout < 0 {
		return fmt.Errorf("%w: timeout %s", ErrInvalid, cmd.Timeout)
	}
	if cmd.Dir != "" {
		if err := checkGuestPath(cmd.Dir); err != nil {
			return err
		}
	}
	if cmd.Waiter != "" {
		if err := checkGuestPath(cmd.Waiter); err != nil {
			return err
		}
	}
	return checkEnv(cmd.Env)
}

func (cmd Command) limit() time.Duration {
	if cmd.Timeout == 0 || cmd.Timeout > noLimit-clientMargin {
		return noLimit
	}
	return cmd.Timeout + clientMargin
}

func newNonce() string { return wrapper.NoncePrefix + rand.Text() }

func (c *Client) execOnce(ctx context.Context, name string, cmd Command) (Result, error) {
	nonce := newNonce()
	o, err := c.start(ctx, call{argv: execArgs(name, nonce, cmd), limit: cmd.limit()})
	rest, code, reported := wrapper.Strip(o.stderr, nonce)
	res, err := cmd.ended(o, err, code, reported)
	res.Stdout, res.Stderr = o.stdout, rest
	return res, withoutMark(err, rest)
}

// ended is what became of cmd, whose smolvm process ended with o and err, and which reported code.
func (cmd Command) ended(o outcome, err error, code int, reported bool) (Result, error) {
	if err == nil && (!reported || code != o.exit) {
		err = o.failure(cmd.meaning(o))
	}
	if err != nil {
		return Result{ExitCode: o.exit}, err
	}
	return Result{ExitCode: code}, nil
}

// meaning is why there is no report of the command's end, or one that smolvm's exit code belies: then the connection broke after
// it, and the output may be short.
func (cmd Command) meaning(o outcome) error {
	if err := classify(o.exit, string(o.stderr)); err != nil {
		return err
	}
	if cmd.timedOut(o) || cmd.Timeout > 0 && o.exit == 1 && o.elapsed >= cmd.Timeout+smolvmMargin {
		return fmt.Errorf("%w: the command's own timeout of %s", context.DeadlineExceeded, cmd.Timeout)
	}
	if o.exit == 128+9 && o.elapsed < raceWindow {
		return errKilledAtOnce
	}
	return errNoReport
}

// timedOut reports whether o is the guest's end of cmd at its own timeout; a command may exit with 124 by itself.
func (cmd Command) timedOut(o outcome) bool {
	return cmd.Timeout > 0 && o.exit == 124 && o.elapsed >= cmd.Timeout
}

var errKilledAtOnce = fmt.Errorf("%w: killed at once", errNoReport)

// lost says why a failed attempt may be repeated; "" when it may not.
func lost(err error) string {
	for _, class := range []error{errRaced, errKilledAtOnce, errLocked} {
		if e := (*Error)(nil); errors.As(err, &e) && errors.Is(err, class) {
			return fmt.Sprintf("exit %d: %s", e.ExitCode, e.Err)
		}
	}
	return ""
}

// withoutMark takes the wrapper's mark out of what an error quotes.
func withoutMark(err error, stderr []byte) error {
	if e := (*Error)(nil); errors.As(err, &e) {
		e.Stderr = string(stderr)
	}
	return err
}
