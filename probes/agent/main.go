package agent

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"bottle.internal/probes/agent/waiter"
)

// Exit codes of bottle-agent.
const (
	ExitAnswered = 0   // a response is on standard output
	ExitFailed   = 1   // the batch could not be run; standard error says why
	ExitUsage    = 2   // the request is none
	ExitDeadline = 124 // the deadline came before the response was written
)

// RequestVariable is the environment variable that may hold the request: carrying a file into a guest costs another process.
const RequestVariable = "BOTTLE_REQUEST"

// apartVerb is the only argument of the child that the agent has make an attempt for it.
const apartVerb = "--apart"

// requestTimeout bounds the wait for a request that never comes.
const requestTimeout = 10 * time.Second

// Main is bottle-agent: it reads one request, as ReadRequest does, and writes one response to stdout. It returns the exit code, and it
// ends the process itself if the request's deadline passes. With the waiter's arguments it is the waiter instead.
func Main(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	if waiter.Is(args) {
		return waiter.Main(args, stderr)
	}
	watchdog := time.AfterFunc(requestTimeout, func() { os.Exit(ExitDeadline) })
	defer watchdog.Stop()
	start, run := time.Now(), Run
	if len(args) == 1 && args[0] == apartVerb {
		args, run = nil, runApart
	}
	req, err := ReadRequest(args, stdin)
	if err != nil {
		_, _ = fmt.Fprintln(stderr, "bottle-agent:", err)
		return ExitUsage
	}
	deadline := start.Add(time.Duration(req.DeadlineMS) * time.Millisecond)
	watchdog.Reset(time.Until(deadline))
	resp, err := run(req, deadline)
	if err == nil {
		err = json.NewEncoder(stdout).Encode(resp)
	}
	if err != nil {
		_, _ = fmt.Fprintln(stderr, "bottle-agent:", err)
		return ExitFailed
	}
	return ExitAnswered
}

// ReadRequest reads the request from the file named in args. Without a name it is RequestVariable's value, and where that is not set it
// comes from stdin.
func ReadRequest(args []string, stdin io.Reader) (Request, error) {
	switch len(args) {
	case 0:
		if text, ok := os.LookupEnv(RequestVariable); ok {
			stdin = strings.NewReader(text)
		}
	case 1:
		f, err := os.Open(args[0])
		if err != nil {
			return Request{}, err
		}
		defer func() { _ = f.Close() }()
		stdin = f
	default:
		return Request{}, errors.New("usage: bottle-agent [REQUEST.json]")
	}
	b, err := io.ReadAll(io.LimitReader(stdin, MaxBatch+1))
	if err != nil {
		return Request{}, fmt.Errorf("reading the request: %w", err)
	}
	return DecodeRequest(b)
}
