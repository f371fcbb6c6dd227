package target

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"bottle.internal/internal/echo"
	"bottle.internal/probes"
	"bottle.internal/probes/agent"
	"bottle.internal/probes/agent/shell"
)

// glancePause is how long a witness waits between two looks at this host's processes.
const glancePause = 10 * time.Millisecond

// tryLimit bounds one try to get the agent in.
const tryLimit = 30 * time.Second

// directories are where a sandbox may let its guest write and run something, the likeliest first.
var directories = []string{"/dev/shm", "/tmp", "/var/tmp", "/run", "/root", ".", "/"}

// A way is one to run the agent in a sandbox, whatever it takes.
type way struct {
	name string
	run  probes.RunFunc
	// weak says that it is no agent that runs, but a shell with what it finds: it believes a tool that brings a batch's first answer back.
	weak bool
}

// settle tries ways in their order and returns the first by which the agent answers. The error names what became of each.
func settle(ctx context.Context, ways []way, logf func(string, ...any)) (way, error) {
	var tried refusals
	for _, w := range ways {
		err := w.answers(ctx)
		if err == nil {
			logf("the agent runs %s", w.name)
			return w, nil
		}
		logf("the agent does not run %s: %v", w.name, err)
		tried.add(w.name, err)
		if ctx.Err() != nil || errors.Is(err, errHangs) {
			break
		}
	}
	return way{}, fmt.Errorf("%w:\n%w", ErrUnreachable, tried.join())
}

// refusals are why ways led nowhere. Those that did for the same reason are told together.
type refusals struct {
	names [][]string
	errs  []error
}

func (r *refusals) add(name string, err error) {
	for i, known := range r.errs {
		if known.Error() == err.Error() {
			r.names[i] = append(r.names[i], name)
			return
		}
	}
	r.names, r.errs = append(r.names, []string{name}), append(r.errs, err)
}

func (r *refusals) join() error {
	var all []error
	for i, err := range r.errs {
		all = append(all, fmt.Errorf("%s: %w", strings.Join(r.names[i], "; "), err))
	}
	return errors.Join(all...)
}

// dwell is how long the agent stays at the least when it is tried, so that this host's kernel can be asked about it.
const dwell = 10 * glancePause

// answers has the agent look at something that every Linux has.
func (w way) answers(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, tryLimit, errHangs)
	defer cancel()
	req := agent.Request{Schema: agent.Schema, Run: echo.NewNonce(), DeadlineMS: 5000, Attempts: []agent.Attempt{
		{ID: "hello", Network: agent.Look, Method: agent.Read, Path: "/proc/version", Nonce: echo.NewNonce(), BudgetMS: 1000, DelayMS: int(dwell.Milliseconds())},
	}}
	text, err := json.Marshal(req)
	if err != nil {
		return err
	}
	out, err := w.run(ctx, text)
	if err != nil {
		return err
	}
	_, err = req.Decode(out)
	return err
}

// byPath runs the agent where it lies on the host, under the same path: many a sandbox has the host's files.
func byPath(run runner, path string) way {
	return way{name: "by its path on this host", run: func(ctx context.Context, request []byte) ([]byte, error) {
		return answer(run(ctx, command{argv: []string{path}, stdin: request}))
	}}
}

// byStream carries the agent in through a shell's standard input, into dir.
func byStream(run runner, binary []byte, dir, name string) way {
	return way{name: "through a shell, in " + dir, run: func(ctx context.Context, request []byte) ([]byte, error) {
		res, err := run(ctx, command{argv: []string{"sh", "-c", carryIn, "sh", dir, name}, stdin: agent.Parcel(binary, request)})
		if err != nil {
			return nil, err
		}
		switch res.code {
		case exitNoDir:
			return nil, errors.New("no directory that can be written to")
		case exitNoSpace:
			return nil, fmt.Errorf("it cannot be written there: %s", lastLine(res.stderr))
		case exitNoStdin:
			return nil, errors.New("nothing of the standard input arrives (docker exec and podman exec want -i)")
		case exitNoExec:
			return nil, fmt.Errorf("nothing may be run there: %s", lastLine(res.stderr))
		}
		return answer(res, nil)
	}}
}

// byShell makes do without the agent, with what a shell finds in the sandbox. The script goes in by its standard input, or in place of a
// command where none arrives.
func byShell(run runner, asArgument bool) way {
	name, build := "as a script for a shell, without the agent", func(script string) command { return command{argv: []string{"sh"}, stdin: []byte(script)} }
	if asArgument {
		name, build = name+", given as an argument", func(script string) command { return command{argv: []string{"sh", "-c", script}} }
	}
	return way{name: name, weak: true, run: shell.Through(func(ctx context.Context, script string) ([]byte, error) {
		res, err := run(ctx, build(script))
		return res.stdout, err
	})}
}

// streams are byStream's ways into each directory, and what there is where none lets anything run.
func streams(run runner, binary []byte, name string) []way {
	var all []way
	for _, dir := range directories {
		all = append(all, byStream(run, binary, dir, name))
	}
	return append(all, byShell(run, false), byShell(run, true))
}

// answer finds the agent's answer in what a command printed, which may have a launcher's remarks around it.
func answer(res result, err error) ([]byte, error) {
	if err != nil {
		return nil, err
	}
	for _, line := range slices.Backward(bytes.Split(res.stdout, []byte("\n"))) {
		if at := bytes.Index(line, []byte(`{"schema":`)); at >= 0 {
			return bytes.TrimRight(line[at:], "\r"), nil
		}
	}
	return nil, fmt.Errorf("exit code %d, and no answer of the agent's in %d bytes: %s", res.code, len(res.stdout), lastLine(append(res.stdout, res.stderr...)))
}

// lastLine is the end of what was printed, for an error.
func lastLine(out []byte) string {
	text := strings.TrimSpace(string(out))
	if at := strings.LastIndexByte(text, '\n'); at >= 0 {
		text = text[at+1:]
	}
	return fmt.Sprintf("%.300q", text)
}
