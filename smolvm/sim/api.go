//go:build linux

package sim

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"
)

// An api serves smolvm's HTTP API (smolvm src/api/mod.rs), the part of it that the client needs: health, and machines with
// their start, stop and exec. It does what the command line does, by the same functions. Safe for concurrent use.
type api struct {
	*session // its environment is what a start here sees; its streams are never used
	began    time.Time
}

// newAPI is the API's handler.
func newAPI(s *session) http.Handler {
	a := &api{session: s, began: time.Now()}
	mux := http.NewServeMux()
	for _, r := range a.routes() {
		mux.HandleFunc(r.method+" "+r.path, func(w http.ResponseWriter, req *http.Request) {
			v, err := r.handle(req)
			answer(w, v, err)
		})
	}
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		var id [8]byte
		_, _ = rand.Read(id[:])
		w.Header().Set("X-Trace-Id", hex.EncodeToString(id[:]))
		mux.ServeHTTP(w, req)
	})
}

// A route is one method of one path; what handle returns is the answer's JSON.
type route struct {
	method, path, about string
	handle              func(*http.Request) (any, error)
}

func (a *api) routes() []route {
	return []route{
		{"GET", "/health", "Health check", a.health},
		{"POST", "/api/v1/machines", "Create machine", a.createMachine},
		{"GET", "/api/v1/machines", "List machines", a.listMachines},
		{"GET", "/api/v1/machines/{name}", "Get machine status", a.machineStatus},
		{"POST", "/api/v1/machines/{name}/start", "Start machine", a.startMachine},
		{"POST", "/api/v1/machines/{name}/stop", "Stop machine", a.stopMachine},
		{"POST", "/api/v1/machines/{name}/exec", "Execute command", a.execMachine},
		{"DELETE", "/api/v1/machines/{name}", "Delete machine", a.deleteMachine},
	}
}

// An apiError is an answer that is no success (smolvm src/api/errors.rs).
type apiError struct {
	status int
	Text   string `json:"error"`
	Code   string `json:"code"`
}

func (e *apiError) Error() string { return e.Text }

func badRequest(text string) *apiError {
	return &apiError{http.StatusBadRequest, text, "BAD_REQUEST"}
}

// asAPIError finds the status that a failure of the command line has here.
func asAPIError(err error) *apiError {
	var done *apiError
	var usage *usageError
	text := err.Error()
	name, missing := strings.CutPrefix(text, notFoundError("").text)
	switch {
	case errors.As(err, &done):
		return done
	case missing:
		return &apiError{http.StatusNotFound, "machine '" + name + "' not found", "NOT_FOUND"}
	case strings.Contains(text, "already exists"):
		return &apiError{http.StatusConflict, strings.TrimPrefix(text, "config operation failed: create machine: "), "CONFLICT"}
	case strings.HasPrefix(text, "invalid vm state"), strings.Contains(text, "another process is already starting"):
		return &apiError{http.StatusConflict, text, "CONFLICT"}
	case errors.As(err, &usage), strings.HasPrefix(text, "config operation failed"):
		return badRequest(text)
	}
	return &apiError{http.StatusInternalServerError, text, "INTERNAL_ERROR"}
}

func answer(w http.ResponseWriter, v any, err error) {
	status := http.StatusOK
	if err != nil {
		e := asAPIError(err)
		v, status = e, e.status
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v)
}

// decode reads a request's JSON with the answers of smolvm's extractor for what is none.
func decode(r *http.Request, v any) error {
	if t, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";"); strings.TrimSpace(t) != "application/json" {
		return &apiError{http.StatusUnsupportedMediaType, "Expected request with `Content-Type: application/json`", "BAD_REQUEST"}
	}
	err := json.NewDecoder(http.MaxBytesReader(nil, r.Body, maxMessage)).Decode(v)
	var kind *json.UnmarshalTypeError
	switch {
	case errors.As(err, &kind):
		return &apiError{http.StatusUnprocessableEntity, "Failed to deserialize the JSON body into the target type: " + err.Error(), "BAD_REQUEST"}
	case err != nil:
		return badRequest("Failed to parse the request body as JSON: " + err.Error())
	}
	return nil
}

func (a *api) health(*http.Request) (any, error) {
	records, err := a.store().list()
	if err != nil {
		return nil, err
	}
	return map[string]any{
		"status": "ok", "version": a.Release.String(), "machines": len(records), "uptime_seconds": int(time.Since(a.began).Seconds()),
	}, nil
}

// createMachine takes a pack and a policy together in every release: the command line below 1.8.0 does not.
func (a *api) createMachine(r *http.Request) (any, error) {
	var req apiCreate
	if err := decode(r, &req); err != nil {
		return nil, err
	}
	if req.From != "" && req.Image != "" {
		return nil, badRequest("'from' and 'image' are mutually exclusive")
	}
	if !a.Release.atLeast(apiGrown) {
		req.Backend, req.AllowedHosts, req.Env, req.Workdir = "", nil, nil, ""
	}
	name := randomName()
	if req.Name != nil {
		name = *req.Name
	}
	commands := subcommands(a.features)
	g := commands[slices.IndexFunc(commands, func(c subcommand) bool { return c.names[0] == "create" })].grammar
	args, err := g.parse(req.argv())
	if err != nil {
		return nil, err
	}
	made, err := a.quietly(strings.NewReader(""), io.Discard, io.Discard).create(name, g, args, func(r *record) error { return a.adopt(r, req) })
	if err != nil {
		return nil, err
	}
	return a.info(made, stateCreated), nil
}

// adopt gives a record the request's policy. It does not turn the network on: only "network" does.
func (a *api) adopt(r *record, req apiCreate) error {
	r.Network = req.Network
	if r.Backend == "" && r.Network && a.ServeTakesVirtio {
		r.Backend = backendVirtio
	}
	var err error
	if r.Hosts, err = hostNames(req.AllowedHosts); err != nil {
		return err
	}
	r.Allow, r.Policy = nil, len(r.Hosts) > 0
	if req.AllowedCIDRs == nil {
		return nil
	}
	r.Policy = true
	return r.allow(*req.AllowedCIDRs)
}

func (a *api) listMachines(*http.Request) (any, error) {
	records, err := a.store().list()
	if err != nil {
		return nil, err
	}
	out := []machineInfo{}
	for _, r := range records {
		out = append(out, a.info(r, a.machineOf(r).state()))
	}
	return map[string]any{"machines": out}, nil
}

func (a *api) machineStatus(r *http.Request) (any, error) { return a.known(r.PathValue("name")) }

func (a *api) known(name string) (any, error) {
	m, err := a.load(name)
	if err != nil {
		return nil, err
	}
	return a.info(m.record, m.state()), nil
}

// quietly is the session with streams for one request.
func (a *api) quietly(stdin io.Reader, stdout, stderr io.Writer) *session {
	s := *a.session
	s.stdin, s.stdout, s.stderr = stdin, stdout, stderr
	return &s
}

// command runs a command of the command line's and drops what it prints.
func (a *api) command(name string, run func(*session, grammar, arguments) (int, error)) error {
	if _, err := a.load(name); err != nil {
		return err
	}
	s := a.quietly(strings.NewReader(""), io.Discard, io.Discard)
	_, err := run(s, grammar{}, arguments{values: map[string][]string{"name": {name}}})
	return err
}

func (a *api) startMachine(r *http.Request) (any, error) {
	name := r.PathValue("name")
	if err := a.command(name, runStart); err != nil {
		return nil, err
	}
	return a.known(name)
}

func (a *api) stopMachine(r *http.Request) (any, error) {
	name := r.PathValue("name")
	if err := a.command(name, runStop); err != nil {
		return nil, err
	}
	return a.known(name)
}

// deleteMachine stops the machine first, in every release.
func (a *api) deleteMachine(r *http.Request) (any, error) {
	name := r.PathValue("name")
	if err := a.command(name, runStop); err != nil {
		return nil, err
	}
	m, err := a.load(name)
	if err != nil {
		return nil, err
	}
	if err := a.quietly(nil, io.Discard, io.Discard).remove(m); err != nil {
		return nil, err
	}
	return map[string]string{"deleted": name}, nil
}

// execMachine starts the machine if it does not run, which the command line never does.
func (a *api) execMachine(r *http.Request) (any, error) {
	var req apiExec
	if err := decode(r, &req); err != nil {
		return nil, err
	}
	if len(req.Command) == 0 {
		return nil, badRequest("command cannot be empty")
	}
	name := r.PathValue("name")
	if err := a.command(name, runStart); err != nil {
		return nil, err
	}
	return a.execute(r.Context(), name, req)
}

func (a *api) execute(ctx context.Context, name string, req apiExec) (any, error) {
	var stdout, stderr bytes.Buffer
	stdin := ""
	if req.Stdin != nil {
		stdin = *req.Stdin
	}
	s := a.quietly(strings.NewReader(stdin), &stdout, &stderr)
	m, conn, err := s.connect(name)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	command := request{
		Op: opExec, Argv: req.Command, Detach: req.Background, Stdin: req.Stdin != nil, Timeout: time.Duration(req.TimeoutSecs) * time.Second,
	}
	limit := command.Timeout
	if err := s.within(&command, m, specs(req.Env), req.Workdir); err != nil {
		return nil, err
	}
	code, err := execution{session: s, conn: conn, contained: command.Contained, limit: limit}.run(command)
	if err != nil {
		return nil, err
	}
	if req.Background {
		return apiResult{Stdout: "pid=" + stdout.String()}, nil
	}
	return apiResult{code, text(stdout), text(stderr)}, nil
}

// text replaces what is not UTF-8, as smolvm's String::from_utf8_lossy does.
func text(b bytes.Buffer) string { return strings.ToValidUTF8(b.String(), "\ufffd") }
