package bundle

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/moby/moby/api/pkg/stdcopy"
	"github.com/moby/moby/client"
)

// execPoll is how often the engine is asked for an exit code it does not have yet.
const execPoll = 2 * time.Millisecond

// exec runs argv in the container and returns its standard output. A non-zero exit is an error with its standard error.
func (c *Container) exec(ctx context.Context, argv ...string) ([]byte, error) {
	p, err := c.begin(ctx, argv, false)
	if err != nil {
		return nil, err
	}
	defer p.conn.Close()
	stop := context.AfterFunc(ctx, p.conn.Close)
	defer stop()
	var out, errOut bytes.Buffer
	_, err = stdcopy.StdCopy(&out, &errOut, p.conn.Reader)
	if ctx.Err() != nil {
		return nil, fmt.Errorf("%s: %w", p.name, context.Cause(ctx))
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", p.name, err)
	}
	return out.Bytes(), p.exit(ctx, errOut.String())
}

// A execution is one process in the container with its streams.
type execution struct {
	name string // for errors
	id   string
	cli  *client.Client
	conn client.ExecAttachResult
}

// begin starts argv in the container.
func (c *Container) begin(ctx context.Context, argv []string, stdin bool) (*execution, error) {
	p := &execution{name: "in the bundle: " + strings.TrimPrefix(strings.Join(argv, " "), "/")}
	_, cli, err := connect(ctx)
	if err != nil {
		return nil, err
	}
	p.cli = cli
	made, err := cli.ExecCreate(ctx, c.GetContainerID(), client.ExecCreateOptions{
		Cmd: argv, AttachStdin: stdin, AttachStdout: true, AttachStderr: true,
	})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", p.name, err)
	}
	p.id = made.ID
	if p.conn, err = cli.ExecAttach(ctx, made.ID, client.ExecAttachOptions{}); err != nil {
		return nil, fmt.Errorf("%s: %w", p.name, err)
	}
	return p, nil
}

// exit waits for the exit code, which may come after the streams have ended: until then the engine says 0.
func (p *execution) exit(ctx context.Context, errOut string) error {
	for {
		in, err := p.cli.ExecInspect(ctx, p.id, client.ExecInspectOptions{})
		switch {
		case err != nil:
			return fmt.Errorf("%s: %w", p.name, err)
		case !in.Running && in.ExitCode != 0:
			return fmt.Errorf("%s: exit code %d: %w", p.name, in.ExitCode, errors.New(strings.TrimSpace(errOut)))
		case !in.Running:
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s: waiting for its exit code: %w", p.name, context.Cause(ctx))
		case <-time.After(execPoll):
		}
	}
}
