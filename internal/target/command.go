package target

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"time"
)

// maxOutput bounds what is kept of what a sandbox prints: a batch's largest answer, and room for what a launcher says besides.
const maxOutput = 8 << 20

// goodbye is how long a command has for its end after it was told to end.
const goodbye = 2 * time.Second

var (
	// ErrFlood says that a sandbox printed without end.
	ErrFlood = errors.New("it printed more than 8 MiB")
	// ErrUnreachable says that no way was found to run the agent in a sandbox.
	ErrUnreachable = errors.New("the agent cannot be run in it")
)

// A command is run in a sandbox.
type command struct {
	argv  []string
	stdin []byte
}

// A result is what became of a command. The output is the sandbox's, and untrusted.
type result struct {
	stdout, stderr []byte
	code           int
}

// A runner runs one command in a sandbox, at most until ctx ends. An exit code other than 0 is a result; an error says that the command
// could not be run or that its end was not seen.
type runner func(ctx context.Context, c command) (result, error)

// onHost runs commands behind a prefix on this host, with env in addition to this process's own.
func onHost(prefix, env []string, logf func(string, ...any)) runner {
	return func(ctx context.Context, c command) (result, error) {
		argv := append(append([]string{}, prefix...), c.argv...)
		logf("%s", shown(argv))
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		out, errOut := &bounded{over: cancel}, &bounded{over: cancel}
		cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
		cmd.Env, cmd.Stdin, cmd.Stdout, cmd.Stderr = append(cmd.Environ(), env...), bytes.NewReader(c.stdin), out, errOut
		cmd.WaitDelay = goodbye
		ownGroup(cmd)
		err := cmd.Run()
		res := result{stdout: out.kept.Bytes(), stderr: errOut.kept.Bytes(), code: cmd.ProcessState.ExitCode()}
		var exit *exec.ExitError
		switch {
		case out.flooded || errOut.flooded:
			return res, ErrFlood
		case ctx.Err() != nil:
			return res, fmt.Errorf("%s: %w", argv[0], context.Cause(ctx))
		case errors.As(err, &exit) && exit.Exited():
			return res, nil
		}
		return res, err
	}
}

// bounded keeps what is written to it up to maxOutput and says once when there is more. The buffer is not embedded: io.Copy would read into it
// past the bound.
type bounded struct {
	kept    bytes.Buffer
	over    func()
	flooded bool
}

func (b *bounded) Write(p []byte) (int, error) {
	if b.flooded || b.kept.Len()+len(p) > maxOutput {
		b.flooded = true
		b.over()
		return len(p), nil
	}
	return b.kept.Write(p)
}

// shown is a command line for people, without what would fill a screen.
func shown(argv []string) string {
	var b bytes.Buffer
	for i, a := range argv {
		if i > 0 {
			b.WriteByte(' ')
		}
		if first, _, more := strings.Cut(a, "\n"); more || len(first) > 200 {
			a = first[:min(len(first), 200)] + "…"
		}
		if a == "" || bytes.ContainsAny([]byte(a), " \t\n'\"\\$`|&;<>(){}*?#!~") {
			a = quote(a)
		}
		b.WriteString(a)
	}
	return b.String()
}
