package smolvm

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"
)

// detachTimeout bounds the command that leaves another behind.
const detachTimeout = time.Minute

// detachScript leaves "$@" running: in a session of its own, so that the end of this command is none of its business, and with no stream
// held open, since an exec in a bare machine lasts until every holder of its stdout is gone. Without setsid a hang-up is ignored instead.
const detachScript = `command -v "$1" >/dev/null || { echo "$1: not found" >&2; exit 127; }
if command -v setsid >/dev/null; then setsid "$@" </dev/null >/dev/null 2>&1 &
else (trap '' HUP; exec "$@") </dev/null >/dev/null 2>&1 & fi
echo $!`

// ExecDetached starts cmd in the machine and returns its PID in the guest while it runs on, until it ends or the machine stops. Its stdin is
// empty and its output is lost: a command whose output is wanted writes it to a file. cmd.Timeout must be 0.
//
// From 1.3.0 on this is smolvm's own `-d`, which does not say whether the program was there to be run; the PID is 0 if smolvm tells none.
// Before, it is a shell in the guest, and ErrUnsupported in a machine that this Client created with an image or from a pack: there the
// end of a command takes all it has started along.
func (c *Client) ExecDetached(ctx context.Context, name string, cmd Command) (pid int, err error) {
	err = cmd.check(name)
	if err == nil && cmd.Timeout != 0 {
		err = fmt.Errorf("%w: a timeout of %s for a command that nobody waits for", ErrInvalid, cmd.Timeout)
	}
	if err != nil {
		return 0, fmt.Errorf("running in %q: %w", name, err)
	}
	v, err := c.release(ctx)
	if err != nil {
		return 0, err
	}
	switch {
	case v.has(execDetach):
		return c.detach(ctx, v, name, cmd)
	case c.known(name).image:
		return 0, fmt.Errorf("running in %q: %w: a command left running in an image machine: %s can, this is %s", name, ErrUnsupported, features[execDetach].since, v)
	}
	return c.detachByShell(ctx, name, cmd)
}

func (c *Client) detach(ctx context.Context, v Version, name string, cmd Command) (int, error) {
	leave, err := c.enter(ctx, v, name, cmd.Waiter)
	if err != nil {
		return 0, fmt.Errorf("running in %q: %w", name, err)
	}
	defer leave()
	out, err := c.run(ctx, call{argv: detachArgs(name, cmd), limit: detachTimeout})
	if err != nil {
		return 0, err
	}
	return lastNumber(out.stdout), nil
}

func (c *Client) detachByShell(ctx context.Context, name string, cmd Command) (int, error) {
	cmd.Argv = append([]string{"sh", "-c", detachScript, "sh"}, cmd.Argv...)
	cmd.Timeout = detachTimeout
	res, err := c.Exec(ctx, name, cmd)
	if err != nil {
		return 0, err
	}
	pid := lastNumber(res.Stdout)
	if res.ExitCode != 0 || pid == 0 {
		said := fmt.Errorf("exit %d: %s", res.ExitCode, shorten(string(bytes.TrimSpace(res.Stderr))))
		return 0, fmt.Errorf("leaving %q running in %q: %w", cmd.Argv[4], name, errors.Join(errNotLeft, said))
	}
	return pid, nil
}

var errNotLeft = errors.New("the guest's shell did not start it")

// lastNumber is the number that ends text, 0 if none does.
func lastNumber(text []byte) int {
	text = bytes.TrimSpace(text)
	from := len(text)
	for from > 0 && '0' <= text[from-1] && text[from-1] <= '9' {
		from--
	}
	n, err := strconv.ParseInt(string(text[from:]), 10, 32)
	if err != nil {
		return 0
	}
	return int(n)
}
