package agent

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"bottle.internal/internal/echo"
)

const (
	// Schema is the version of the wire. A response of another version is refused.
	Schema = 2
	// MaxFlows bounds the attempts in flight: a quarter of what smolvm's relay table holds.
	MaxFlows = 64
	// MaxAttempts bounds the attempts of one batch.
	MaxAttempts = 4096
	// MaxBatch bounds a request or a response, in bytes.
	MaxBatch = 4 << 20
	// MaxBudget bounds the time one attempt may be given.
	MaxBudget = time.Minute
	// MaxReply bounds what a result carries of what was read, in bytes.
	MaxReply = 16 << 10
	// MaxDeadline bounds the time one batch may be given.
	MaxDeadline = 10 * time.Minute

	maxIDLen = 64
)

// A Condition says when an attempt that names another in After is made at all.
type Condition string

// The conditions. An attempt whose condition does not hold has a result of StageSkipped.
const (
	WhenFiltered     Condition = "filtered"      // After was observed filtered
	WhenNotReachable Condition = "not-reachable" // After was made and not observed reachable
)

// A Request is what the host asks for: one batch.
type Request struct {
	Schema     int        `json:"schema"`
	Run        echo.Nonce `json:"run"`         // returned in the response: a response of another run is refused
	DeadlineMS int        `json:"deadline_ms"` // the agent has ended by then, whatever happened, counted from its start
	Attempts   []Attempt  `json:"attempts"`
}

// A Response is what the agent answers: the self-check and one result per attempt.
type Response struct {
	Schema  int        `json:"schema"`
	Run     echo.Nonce `json:"run"`
	Self    Self       `json:"self"`
	Results []Result   `json:"results"`
}

// A Stage is how far an attempt got.
type Stage string

// The stages. At connect, write and read an empty errno means that the budget ran out there.
const (
	StagePrepare    Stage = "prepare" // what the method needs first could not be had: a namespace, a route, a connection to Also
	StageSocket     Stage = "socket"  // no socket could be made
	StageConnect    Stage = "connect"
	StageWrite      Stage = "write"
	StageRead       Stage = "read"
	StageDone       Stage = "done"       // the peer closed, or its answer is whole
	StageSkipped    Stage = "skipped"    // the attempt's condition did not hold
	StageUnfinished Stage = "unfinished" // the batch's deadline came first
)

// A Result is what one attempt met.
type Result struct {
	ID          string      `json:"id"`
	Nonce       echo.Nonce  `json:"nonce"`
	Stage       Stage       `json:"stage"`
	Errno       string      `json:"errno,omitempty"`      // the kernel's name for it, such as "EACCES"
	ConnectUS   int64       `json:"connect_us,omitempty"` // microseconds until connect was decided
	ElapsedUS   int64       `json:"elapsed_us"`           // microseconds altogether
	Reply       []byte      `json:"reply,omitempty"`      // at most MaxReply bytes
	Observation Observation `json:"observation"`          // the agent's reading; the host reads again
}

// Self is the agent's check of itself and of where it runs. All of it is the guest's word.
type Self struct {
	Echo       bool     `json:"echo"`       // a nonce went round the guest's own loopback
	EchoTries  int      `json:"echo_tries"` // a new listener may need a while to be honoured
	EchoUS     int64    `json:"echo_us"`
	EchoError  string   `json:"echo_error,omitempty"`
	UID        int      `json:"uid"`
	Kernel     string   `json:"kernel"`  // uname -r
	BootID     string   `json:"boot_id"` // of the kernel, not of a container
	Hostname   string   `json:"hostname"`
	Interfaces []string `json:"interfaces,omitempty"` // "eth0 100.96.0.2/30"
	Listeners  []string `json:"listeners,omitempty"`  // guest listeners on a port probed at a loopback address, as ip:port
	Notes      []string `json:"notes,omitempty"`      // what could not be found out
	// PeakKiB is the most memory that the agent had resident, in KiB; 0 is not known.
	PeakKiB int `json:"peak_kib,omitempty"`
	// Weak says why all of the response is weaker evidence than the agent's own, and how it was made. "" is the agent's.
	Weak string `json:"weak,omitempty"`
}

// ErrResponse says that what came out of the guest is not an answer to what was asked.
var ErrResponse = errors.New("agent: the guest's answer is not an answer to the request")

// Validate reports what is wrong with r. Both sides call it: the host before it sends, the agent before it dials.
func (r Request) Validate() error {
	switch {
	case r.Schema != Schema:
		return fmt.Errorf("agent: schema %d, want %d", r.Schema, Schema)
	case !r.Run.Valid():
		return fmt.Errorf("agent: run %q is no nonce", r.Run)
	case r.DeadlineMS <= 0 || time.Duration(r.DeadlineMS)*time.Millisecond > MaxDeadline:
		return fmt.Errorf("agent: deadline of %d ms: want more than none and at most %s", r.DeadlineMS, MaxDeadline)
	case len(r.Attempts) > MaxAttempts:
		return fmt.Errorf("agent: %d attempts in one batch: want at most %d", len(r.Attempts), MaxAttempts)
	}
	phases := make(map[string]int, len(r.Attempts))
	for _, a := range r.Attempts {
		if err := a.validate(phases); err != nil {
			return fmt.Errorf("agent: attempt %q: %w", a.ID, err)
		}
		phases[a.ID] = a.Phase
	}
	return nil
}

// Met reports whether an attempt with this condition is to be made, given what became of the attempt named in After.
func (c Condition) Met(after Result) bool {
	switch c {
	case WhenFiltered:
		return after.Observation == Filtered
	case WhenNotReachable:
		return after.Observation != Reachable && after.Stage != StageSkipped
	}
	return true
}

// DecodeRequest reads and validates a request.
func DecodeRequest(b []byte) (Request, error) {
	var r Request
	if err := decodeStrict(b, &r); err != nil {
		return Request{}, fmt.Errorf("agent: reading the request: %w", err)
	}
	return r, r.Validate()
}

// decodeStrict reads exactly one JSON value of known fields.
func decodeStrict(b []byte, into any) error {
	if len(b) > MaxBatch {
		return fmt.Errorf("%d bytes: want at most %d", len(b), MaxBatch)
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("something follows the JSON value")
	}
	return nil
}
