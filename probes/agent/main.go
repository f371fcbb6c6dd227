package agent

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/debug"
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

// RemoveVerb is the only argument of an agent that is to take its own executable away and do nothing else.
const RemoveVerb = "--remove"

// requestTimeout bounds the wait for a request that never comes.
const requestTimeout = 10 * time.Second

// memoryLimit is, in bytes, from where on Go's runtime collects whenever it can: with the program itself a batch stays below 20 MiB.
const memoryLimit = 10 << 20

// Main is bottle-agent: it reads one request, as ReadRequest does, and writes one response to stdout. It returns the exit code, and it
// ends the process itself if the request's deadline passes. With the waiter's arguments it is the waiter instead.
func Main(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	if waiter.Is(args) {
		return waiter.Main(args, stderr)
	}
	if len(args) == 1 && args[0] == RemoveVerb {
		return removed(stderr)
	}
	defer debug.SetMemoryLimit(debug.SetMemoryLimit(memoryLimit))
	watchdog := time.AfterFunc(requestTimeout, func() { os.Exit(ExitDeadline) })
	defer watchdog.Stop()
	start, run, read := time.Now(), Run, ReadRequest
	if len(args) == 1 && args[0] == apartVerb {
		run, read = runApart, func([]string, io.Reader) (Request, error) { return readFrom(stdin) }
	}
	req, err := read(args, stdin)
	if err != nil {
		_, _ = fmt.Fprintln(stderr, "bottle-agent:", err)
		return ExitUsage
	}
	deadline := start.Add(time.Duration(req.DeadlineMS) * time.Millisecond)
	watchdog.Reset(time.Until(deadline))
	resp, err := run(req, deadline)
	if err == nil {
		err = writeResponse(stdout, resp)
	}
	if err != nil {
		_, _ = fmt.Fprintln(stderr, "bottle-agent:", err)
		return ExitFailed
	}
	return ExitAnswered
}

func removed(stderr io.Writer) int {
	if err := remove(); err != nil {
		_, _ = fmt.Fprintln(stderr, "bottle-agent:", err)
		return ExitFailed
	}
	return ExitAnswered
}

// manyResults are a response whose text takes megabytes: room is made for it first, at a millisecond or two.
const manyResults = 256

// writeResponse writes resp, once it is known what memory it takes to do so.
func writeResponse(w io.Writer, resp Response) error {
	if len(resp.Results) > manyResults {
		runtime.GC()
	}
	if _, err := json.Marshal(resp); err != nil {
		return err
	}
	resp.Self.PeakKiB = peakKiB()
	return json.NewEncoder(w).Encode(resp)
}

// ReadRequest reads the request from the file named in args. Without a name it is RequestVariable's value, else what the executable carries
// (see Parcel), and where there is neither it comes from stdin.
func ReadRequest(args []string, stdin io.Reader) (Request, error) {
	switch len(args) {
	case 0:
		if text, ok := os.LookupEnv(RequestVariable); ok {
			return DecodeRequest([]byte(text))
		}
		request, err := ownRequest()
		if err != nil {
			return Request{}, err
		}
		if request != nil {
			return DecodeRequest(request)
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
	return readFrom(stdin)
}

func readFrom(r io.Reader) (Request, error) {
	b, err := io.ReadAll(io.LimitReader(r, MaxBatch+1))
	if err != nil {
		return Request{}, fmt.Errorf("reading the request: %w", err)
	}
	return DecodeRequest(b)
}
