package smolvmtest

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
)

// A Server is the HTTP API of a `serve start`. The zero Server answers /health, keeps the machines that are posted to it and tells them
// as they came.
type Server struct {
	// Answers are tried in order, before what the Server does by itself.
	Answers []Answer `json:",omitempty"`
	// Record is told of a machine that was posted in place of what came; "" is that.
	Record string `json:",omitempty"`
}

// An Answer is what one route says.
type Answer struct {
	// Method and Path must be the request's.
	Method, Path string
	// Status 0 is 200.
	Status int `json:",omitempty"`
	Body   string
}

// A Request is one that a Server got.
type Request struct {
	Method, Path, Body string
}

const requestsFile = "requests.jsonl"

// Requests returns what the fake's servers were asked so far, without the questions for /health.
func (f *Fake) Requests() []Request {
	f.tb.Helper()
	text, err := os.ReadFile(filepath.Join(f.dir, requestsFile))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		f.tb.Fatalf("smolvmtest: %v", err)
	}
	var all []Request
	for dec := json.NewDecoder(bytes.NewReader(text)); ; {
		var r Request
		if err := dec.Decode(&r); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			f.tb.Fatalf("smolvmtest: reading %s: %v", requestsFile, err)
			return all
		}
		all = append(all, r)
	}
}

// run answers on the socket of c until it is interrupted.
func (s *Server) run(c Call) error {
	at := slices.Index(c.Argv, "--listen")
	if at < 0 || at+1 == len(c.Argv) || !strings.HasPrefix(c.Argv[at+1], "unix://") {
		return fmt.Errorf("a server is scripted for %q", c.Argv)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	listener, err := net.Listen("unix", strings.TrimPrefix(c.Argv[at+1], "unix://"))
	if err != nil {
		return err
	}
	state := &served{Server: s, state: c.State, machines: map[string]string{}}
	server := &http.Server{Handler: state}
	context.AfterFunc(ctx, func() { _ = server.Close() })
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// served is a Server that runs.
type served struct {
	*Server
	state    string
	mu       sync.Mutex
	machines map[string]string // by path
}

func (s *served) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	body, err := io.ReadAll(r.Body)
	if err == nil && r.URL.Path != "/health" {
		err = s.note(Request{r.Method, r.URL.Path, string(body)})
	}
	a := s.answer(r.Method, r.URL.Path, string(body))
	if err != nil {
		a = Answer{Status: http.StatusInternalServerError, Body: err.Error()}
	}
	if a.Status != 0 {
		w.WriteHeader(a.Status)
	}
	_, _ = io.WriteString(w, a.Body) // a client that has gone is its own affair
}

func (s *served) answer(method, path, body string) Answer {
	for _, a := range s.Answers {
		if a.Method == method && a.Path == path {
			return a
		}
	}
	const machines = "/api/v1/machines"
	record, known := s.machines[path]
	switch {
	case path == "/health":
		return Answer{Body: `{"status":"ok"}`}
	case method == http.MethodPost && path == machines:
		var m struct{ Name string }
		if err := json.Unmarshal([]byte(body), &m); err != nil {
			return Answer{Status: http.StatusBadRequest, Body: err.Error()}
		}
		s.machines[machines+"/"+m.Name] = cmp.Or(s.Record, body)
		return Answer{Body: body}
	case method == http.MethodGet && known:
		return Answer{Body: record}
	}
	return Answer{Status: http.StatusNotFound, Body: `{"error":"not found","code":"NOT_FOUND"}`}
}

func (s *served) note(r Request) error {
	line, err := json.Marshal(r)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(filepath.Join(s.state, requestsFile), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(append(line, '\n'))
	return errors.Join(err, f.Close())
}
