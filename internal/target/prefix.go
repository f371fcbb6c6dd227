package target

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"bottle.internal/internal/echo"
	"bottle.internal/probes"
)

// decoyVariable is set for every command of a prefix: it must not turn up in the sandbox.
const decoyVariable = "BOTTLE_DECOY"

// Behind is the sandbox that the command line prefix runs a command in, such as {"bwrap", "--unshare-all", "--"} or {"ssh", "host"}. Each
// run of it may be a sandbox of its own. An empty prefix is this process's own surroundings.
//
// The error is ErrUnreachable, with what was tried, if the agent cannot be run there.
func Behind(ctx context.Context, prefix []string, opts Options) (*Sandbox, error) {
	s := newSandbox(opts, "command", "", "here")
	if len(prefix) > 0 {
		if _, err := exec.LookPath(prefix[0]); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrUnreachable, err)
		}
		s.site.Engine, s.site.Topology = filepath.Base(prefix[0]), shown(prefix)
	}
	s.site.Effective = []string{"none that this kit knows of"}
	planted := probes.NewDecoyText()
	s.site.Planted = []string{planted}
	run, err := s.shell(ctx, onHost(prefix, []string{decoyVariable + "=" + planted}, opts.logf))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnreachable, err)
	}
	arch := s.arch(ctx, run)
	content, err := binary(ctx, arch)
	if err != nil {
		return nil, err
	}
	lent, err := s.lend(content)
	if err != nil {
		return nil, errors.Join(err, s.Close(ctx))
	}
	ways := []way{byPath(run, lent)}
	if len(prefix) > 0 {
		ways = append(ways, streams(run, content, s.mark)...)
	}
	return s.enter(ctx, ways)
}

// shell finds out whether the prefix takes a command's words as they are, or joined in one for a shell to read, as ssh and sh -c do. A
// sandbox without a shell has its words as they are; one that does not end a command, or prints without end, is an error.
func (s *Sandbox) shell(ctx context.Context, run runner) (runner, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, tryLimit, errHangs)
	defer cancel()
	word := string(echo.NewNonce())
	argv := []string{"sh", "-c", "echo " + word + " \"$1\"", "sh", "two words"}
	want := []byte(word + " two words")
	res, err := run(ctx, command{argv: argv})
	switch {
	case ctx.Err() != nil: // it may have answered all the same, too late
		return nil, errors.Join(err, context.Cause(ctx))
	case errors.Is(err, ErrFlood):
		return nil, err
	case bytes.Contains(res.stdout, want):
		return run, nil
	}
	res, err = run(ctx, command{argv: []string{joined(argv)}})
	if err != nil || !bytes.Contains(res.stdout, want) {
		s.opts.logf("the sandbox has no shell")
		return run, nil
	}
	s.opts.logf("the prefix takes a command as one word, for a shell")
	return func(ctx context.Context, c command) (result, error) {
		c.argv = []string{joined(c.argv)}
		return run(ctx, c)
	}, nil
}

// errHangs is why a try to run something in a sandbox was ended.
var errHangs = fmt.Errorf("no command ended within %s", tryLimit)

// machines are the names that uname has for what Go calls otherwise.
var machines = map[string]string{"x86_64": "amd64", "aarch64": "arm64", "arm64": "arm64", "amd64": "amd64"}

// unameLimit bounds the question for the architecture.
const unameLimit = 10 * time.Second

// arch is the sandbox's architecture as far as it says so, "" if it does not.
func (s *Sandbox) arch(ctx context.Context, run runner) string {
	ctx, cancel := context.WithTimeout(ctx, unameLimit)
	defer cancel()
	res, err := run(ctx, command{argv: []string{"uname", "-m"}})
	if err != nil || res.code != 0 {
		return ""
	}
	return machines[strings.TrimSpace(string(res.stdout))]
}
