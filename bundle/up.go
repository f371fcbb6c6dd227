package bundle

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/moby/moby/api/pkg/stdcopy"
	"github.com/moby/moby/client"

	"bottle.internal/bundle/internal/wire"
)

// awaitUp waits until PID 1 has said that it is up. It follows the log, which is one question: testcontainers' strategy asks three at
// every look, and each look competes with what it waits for.
func (c *Container) awaitUp(ctx context.Context) error {
	_, cli, err := connect(ctx)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, upWithin, fmt.Errorf("PID 1 has not said within %s that it is up: %w", upWithin, context.DeadlineExceeded))
	defer cancel()
	stream, err := cli.ContainerLogs(ctx, c.GetContainerID(), client.ContainerLogsOptions{ShowStdout: true, ShowStderr: true, Follow: true})
	if err != nil {
		return fmt.Errorf("following the bundle's log: %w", err)
	}
	defer stream.Close()
	lines, in := io.Pipe()
	defer lines.Close()
	go func() {
		_, err := stdcopy.StdCopy(in, in, stream)
		_ = in.CloseWithError(err)
	}()
	said, err := upLine(lines)
	if ctx.Err() != nil && !said {
		return context.Cause(ctx)
	}
	return err
}

// upLine reads lines up to PID 1's word, and reports whether there was one.
func upLine(r io.Reader) (said bool, err error) {
	sc := bufio.NewScanner(r)
	for sc.Scan() {
		line := sc.Text()
		if why, ok := strings.CutPrefix(line, wire.LineNotReady); ok {
			return true, fmt.Errorf("not every daemon came up: %s", strings.TrimSpace(why))
		}
		if line == wire.LineNone || strings.HasPrefix(line, wire.LineReady) {
			return true, nil
		}
	}
	return false, errors.Join(errors.New("it ended before it was up"), sc.Err())
}
