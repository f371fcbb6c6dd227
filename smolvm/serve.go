package smolvm

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"time"
)

const (
	serveReadyLimit = 30 * time.Second
	// maxSocket is what fits into sun_path on macOS, with its NUL.
	maxSocket = 103
	undoLimit = 2 * time.Minute
)

// needsAPI reports whether the command line of v would drop the policy without a word, or has no word for it.
func (o CreateOptions) needsAPI(v Version) bool {
	return o.Network.DenyAll || o.From != "" && o.Network.restricted() && !v.has(fromKeepsPolicy)
}

// createByAPI makes a machine with a policy that the command line drops, or cannot say. The server lives for this call only.
func (c *Client) createByAPI(ctx context.Context, v Version, name string, o CreateOptions) (how Knowledge, err error) {
	if info, err := os.Stat(o.From); o.From != "" && (err != nil || !info.Mode().IsRegular()) {
		return Unknown, errors.Join(fmt.Errorf("creating %q: %w: there is no pack at %q", name, ErrInvalid, o.From), err)
	}
	ctx, release := context.WithTimeoutCause(ctx, createLimit, fmt.Errorf("%w: it took more than %s", context.DeadlineExceeded, createLimit))
	defer release()
	asked := false // the machine may be there, and is this call's
	err = c.withServer(ctx, v, func(a *api) error {
		if err := c.again(ctx, "look for "+name, func() error { return a.free(ctx, name) }); err != nil {
			return err
		}
		asked = true
		how, err = a.create(ctx, apiRequest(name, o), v, c.again)
		return err
	})
	if err == nil && len(o.Env) > 0 {
		err = c.Update(ctx, name, UpdateOptions{Env: o.Env}) // v0.8.0's request has no room for them
	}
	switch {
	case err == nil:
		return how, nil
	case errors.Is(err, ErrExists):
		return Unknown, fmt.Errorf("creating %q: %w", name, err)
	case asked:
		err = errors.Join(err, c.undoCreate(ctx, name))
	}
	if ctx.Err() != nil {
		return Unknown, fmt.Errorf("creating %q: %w: %w", name, over(ctx), err)
	}
	return Unknown, fmt.Errorf("creating %q: %w: smolvm %s does not take it on its command line, and by its API: %w", name, ErrPolicy, v, err)
}

// undoCreate removes what a create that failed may have made.
func (c *Client) undoCreate(ctx context.Context, name string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoLimit)
	defer cancel()
	return c.Delete(ctx, name)
}

// free asks for the name before anything is made: what a create that failed left is removed, and must not be another's machine.
func (a *api) free(ctx context.Context, name string) error {
	err := a.do(ctx, http.MethodGet, "/api/v1/machines/"+name, nil, nil)
	if e := (*apiError)(nil); errors.As(err, &e) && e.Status == http.StatusNotFound {
		return nil
	}
	if err == nil {
		return ErrExists
	}
	return fmt.Errorf("asking whether the name is free: %w", err)
}

// create makes the machine, reads its record back, and says how the policy in it is known.
func (a *api) create(ctx context.Context, want apiMachine, v Version, again func(context.Context, string, func() error) error) (Knowledge, error) {
	err := again(ctx, "create of "+want.Name, func() error {
		return a.do(ctx, http.MethodPost, "/api/v1/machines", want, nil)
	})
	if err != nil {
		return Unknown, err
	}
	var record apiMachine
	if err := a.do(ctx, http.MethodGet, "/api/v1/machines/"+want.Name, nil, &record); err != nil {
		return Unknown, fmt.Errorf("reading the machine back: %w", err)
	}
	return want.holds(record, v)
}

// withServer runs use against a server of its own, on a socket in a directory that only this user can enter. The server has ended and
// the directory is gone when it returns.
func (c *Client) withServer(ctx context.Context, v Version, use func(*api) error) (err error) {
	dir, err := socketDir()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	socket := filepath.Join(dir, "s")

	serving, stop := context.WithCancel(ctx)
	ended := make(chan struct{})
	var died error
	go func() {
		defer close(ended)
		_, died = c.start(serving, call{argv: serveArgs(socket), env: serveEnv(v), limit: createLimit, apart: true})
	}()
	defer func() { stop(); <-ended }()

	a := newAPI(socket)
	ready, cancel := context.WithTimeoutCause(ctx, serveReadyLimit, fmt.Errorf("%w: no answer in %s", context.DeadlineExceeded, serveReadyLimit))
	defer cancel()
	if err := a.await(ready, ended); err != nil {
		stop()
		<-ended
		return errors.Join(err, died)
	}
	return use(a)
}

// socketDir is a new directory with mode 0700 and a name so short that a socket's fits.
func socketDir() (string, error) {
	dir, err := os.MkdirTemp("", "sv")
	if err == nil && len(filepath.Join(dir, "s")) > maxSocket {
		_ = os.Remove(dir)
		dir, err = os.MkdirTemp("/tmp", "sv")
	}
	if err != nil {
		return "", fmt.Errorf("making room for a socket: %w", err)
	}
	return dir, nil
}

func serveArgs(socket string) []string {
	return []string{"serve", "start", "--listen", "unix://" + socket}
}

// serveEnv keeps the server from turning the floor strict.
func serveEnv(v Version) []string {
	if v.has(serveStrict) {
		return []string{"SMOLVM_EGRESS_FLOOR=metadata"}
	}
	return nil
}
