package smolvm

import (
	"context"
	"fmt"
	"io"
	"os"

	"bottle.internal/smolvm/internal/wrapper"
)

// A Terminal is where an interactive command reads and writes. A nil Stdin is empty, a nil Stdout or Stderr discards.
type Terminal struct {
	// Stdin is passed on to the command while it runs. If it is an *os.File that is a terminal, the command gets a terminal of its own.
	Stdin io.Reader
	// Stdout gets the command's output; with a terminal its stderr too. Then it has to be an *os.File as well, or is written through a pipe.
	Stdout io.Writer
	// Stderr gets the command's where it is apart, and what smolvm says of itself.
	Stderr io.Writer
}

// terminal are the files that smolvm works on itself: raw mode and the window's size are its business.
type terminal struct {
	in  *os.File
	out io.Writer
}

// own is t as files for smolvm, nil if its Stdin is no terminal.
func (t Terminal) own() *terminal {
	in, ok := t.Stdin.(*os.File)
	if !ok || in == nil || !isTerminal(in) {
		return nil
	}
	return &terminal{in: in, out: t.Stdout}
}

// ExecInteractive runs cmd with t for its input and output and waits for it. Its stdin is open until t.Stdin ends (`-i`), and it has a
// terminal of its own if t.Stdin is one (`-t`); then the terminal is in raw mode meanwhile, and its output and its stderr are one stream.
// Result holds the exit code and no output.
//
// Errors are those of Exec. With a terminal there is no report of the command's end, and what smolvm prints on stderr tells its own failures
// apart. cmd.Waiter stands for "there is no sh" there: the command is run as it is, and one that is not there is a failure of smolvm's. Below 1.4.1 other commands in an image machine wait until it ends. It is never run a second time once something was passed on.
func (c *Client) ExecInteractive(ctx context.Context, name string, cmd Command, t Terminal) (Result, error) {
	if err := cmd.check(name); err != nil {
		return Result{}, fmt.Errorf("running in %q: %w", name, err)
	}
	out, errs := &tap{w: t.Stdout}, &tap{w: t.Stderr}
	once := func() (Result, error) { return c.pipedOnce(ctx, name, cmd, t.Stdin, out, errs) }
	if own := t.own(); own != nil {
		once = func() (Result, error) { return c.terminalOnce(ctx, name, cmd, own, errs) }
	}
	// What was read from Stdin is gone, so only a command that read nothing could be repeated, and nobody knows that.
	return c.execAgain(ctx, name, cmd, once, func() bool { return t.Stdin == nil && out.n+errs.n == 0 })
}

// pipedOnce is the way without a terminal, where the streams are apart and the wrapper reports.
func (c *Client) pipedOnce(ctx context.Context, name string, cmd Command, stdin io.Reader, stdout, stderr *tap) (Result, error) {
	nonce := newNonce()
	argv := interactiveArgs(name, cmd, false, wrapper.By(cmd.Waiter, nonce, cmd.Argv))
	return c.passOn(ctx, call{argv: argv, limit: cmd.limit(), stdin: stdin}, cmd, nonce, stdout, stderr)
}

// terminalOnce is the way with one. The guest's streams come merged on stdout then, so that stderr is smolvm's alone.
func (c *Client) terminalOnce(ctx context.Context, name string, cmd Command, own *terminal, stderr *tap) (Result, error) {
	guest := cmd.Argv
	if cmd.Waiter == "" {
		guest = wrapper.Plain(guest)
	}
	argv := interactiveArgs(name, cmd, true, guest)
	stderr.broken = func() {}   // what smolvm says is not what the call is for
	defer keepTermios(own.in)() // a smolvm that is ended leaves it raw
	o, err := c.start(ctx, call{argv: argv, limit: cmd.limit(), terminal: own, stderr: stderr})
	o.stderr = stderr.tail
	if err == nil && o.exit != 0 {
		if _, own := errorText(string(o.stderr)); own || cmd.timedOut(o) {
			return cmd.ended(o, nil, 0, false)
		}
	}
	return Result{ExitCode: o.exit}, err
}
