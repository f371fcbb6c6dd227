package smolvm

import (
	"context"
	"errors"
	"fmt"
	"io"

	"bottle.internal/smolvm/internal/wrapper"
)

// ExecStream is Exec with the command's output passed on as it comes, to stdout and stderr; nil discards one. Each is written to by one
// goroutine, so that one writer for both has to allow two. Result.Stdout and Result.Stderr are nil, and the output has no limit. A writer
// that fails ends the call with its error.
//
// A command is run a second time only if nothing of it was passed on.
func (c *Client) ExecStream(ctx context.Context, name string, cmd Command, stdout, stderr io.Writer) (Result, error) {
	if err := cmd.check(name); err != nil {
		return Result{}, fmt.Errorf("running in %q: %w", name, err)
	}
	out, errs := &tap{w: stdout}, &tap{w: stderr}
	return c.execAgain(ctx, name, cmd, func() (Result, error) { return c.streamOnce(ctx, name, cmd, out, errs) },
		func() bool { return out.n+errs.n == 0 })
}

func (c *Client) streamOnce(ctx context.Context, name string, cmd Command, stdout, stderr *tap) (Result, error) {
	nonce := newNonce()
	return c.passOn(ctx, call{argv: execArgs(name, nonce, cmd), limit: cmd.limit()}, cmd, nonce, stdout, stderr)
}

// passOn runs k, which has the wrapper of nonce around cmd, with its output to stdout and stderr.
func (c *Client) passOn(ctx context.Context, k call, cmd Command, nonce string, stdout, stderr *tap) (Result, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stdout.broken, stderr.broken = cancel, cancel
	filter := wrapper.NewFilter(stderr, nonce)
	k.stdout, k.stderr = stdout, filter
	o, err := c.start(ctx, k)
	_ = filter.Close() // stderr keeps its error
	o.stderr = stderr.tail
	code, reported := filter.Code()
	res, err := cmd.ended(o, err, code, reported)
	if broken := errors.Join(stdout.err, stderr.err); broken != nil {
		return res, fmt.Errorf("passing on the output: %w", broken)
	}
	return res, withoutMark(err, stderr.tail)
}

// tailSize is how much of a stream that is passed on is kept, for the error message in it.
const tailSize = 64 << 10

// A tap passes a stream on, counts it and keeps its end.
type tap struct {
	w    io.Writer // nil discards
	n    int64
	tail []byte
	err  error // of w, the first one

	broken func() // called at it
}

func (t *tap) Write(p []byte) (int, error) {
	t.n += int64(len(p))
	t.tail = append(t.tail, p...)
	if extra := len(t.tail) - tailSize; extra > tailSize { // twice its size at most, so that few writes move it
		t.tail = append(t.tail[:0], t.tail[extra:]...)
	}
	if t.w == nil {
		return len(p), nil
	}
	n, err := t.w.Write(p)
	if err != nil && t.err == nil {
		t.err = err
		t.broken()
	}
	return n, err
}
