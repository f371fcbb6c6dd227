//go:build linux

package sim

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// A server is "serve start" of a host on a socket.
type server struct {
	t      *testing.T
	cmd    *exec.Cmd
	socket string
	stdout strings.Builder
	stderr strings.Builder
}

func (h *host) serveAPI() *server {
	h.t.Helper()
	s := &server{t: h.t, socket: filepath.Join(h.dir, "s")}
	s.cmd = h.command("serve", "start", "-l", "unix://"+s.socket)
	s.cmd.Stdout, s.cmd.Stderr = &s.stdout, &s.stderr
	if err := s.cmd.Start(); err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(s.stop)
	eventually(h.t, "the server answers", func() bool {
		conn, err := net.Dial("unix", s.socket)
		if err == nil {
			_ = conn.Close()
		}
		return err == nil
	})
	return s
}

// stop ends the server as an init system does.
func (s *server) stop() {
	if s.cmd.ProcessState != nil {
		return
	}
	_ = s.cmd.Process.Signal(syscall.SIGTERM)
	_ = s.cmd.Wait()
}

// ask makes one request and decodes the answer into out, which may be nil.
func (s *server) ask(method, path, body string, out any) int {
	s.t.Helper()
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", s.socket)
	}}}
	req, err := http.NewRequest(method, "http://localhost"+path, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := client.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	if len(resp.Header.Get("X-Trace-Id")) != 16 {
		s.t.Errorf("%s %s: X-Trace-Id %q", method, path, resp.Header.Get("X-Trace-Id"))
	}
	if out != nil {
		if err := json.NewDecoder(bytes.NewReader(text)).Decode(out); err != nil {
			s.t.Errorf("%s %s: %v: %s", method, path, err, text)
		}
	}
	return resp.StatusCode
}

func TestServeLife(t *testing.T) {
	h := newHost(t, newest)
	requireNamespaces(t)
	s := h.serveAPI()
	var health map[string]any
	if code := s.ask("GET", "/health", "", &health); code != 200 || health["status"] != "ok" || health["version"] != newest {
		t.Errorf("health: %d %v", code, health)
	}
	var made machineInfo
	if code := s.ask("POST", "/api/v1/machines", `{"name":"m","cpus":2,"memoryMb":512,"network":true,"allowedCidrs":["10.9.8.7"],"unknown":1}`, &made); code != 200 {
		t.Fatalf("create: %d", code)
	}
	allow := []string{"10.9.8.7/32"}
	want := machineInfo{
		Name: "m", State: "created", CPUs: 2, MemoryMB: 512, Mounts: []apiMount{}, Ports: []apiPort{}, Network: true, StorageGB: 20, OverlayGB: 10,
		CreatedAt: made.CreatedAt, Backend: "virtio-net", AllowedCIDRs: &allow,
	}
	if diff := cmp.Diff(want, made); diff != "" {
		t.Errorf("create (-want +got):\n%s", diff)
	}
	var info machineInfo
	if code := s.ask("POST", "/api/v1/machines/m/start", "", &info); code != 200 || info.State != "running" || info.PID == 0 {
		t.Errorf("start: %d %+v", code, info)
	}
	var got apiResult
	code := s.ask("POST", "/api/v1/machines/m/exec", `{"command":["sh","-c","cat; pwd; echo $A >&2; exit 3"],"env":[{"name":"A","value":"B"}],"workdir":"/tmp","stdin":"in\n"}`, &got)
	if code != 200 || got != (apiResult{3, "in\n/tmp\n", "B\n"}) {
		t.Errorf("exec: %d %+v", code, got)
	}
	if code := s.ask("POST", "/api/v1/machines/m/exec", `{"command":["sleep","60"],"timeoutSecs":1}`, &got); code != 200 || got.ExitCode != 124 {
		t.Errorf("exec with a timeout: %d %+v", code, got)
	}
	if code := s.ask("POST", "/api/v1/machines/m/exec", `{"command":["sleep","60"],"background":true}`, &got); code != 200 || !strings.HasPrefix(got.Stdout, "pid=") {
		t.Errorf("exec in the background: %d %+v", code, got)
	}
	var list struct{ Machines []machineInfo }
	if s.ask("GET", "/api/v1/machines", "", &list); len(list.Machines) != 1 || list.Machines[0].State != "running" {
		t.Errorf("list: %+v", list)
	}
	s.stop()
	if code := s.cmd.ProcessState.ExitCode(); code != 0 {
		t.Errorf("the server ended with %d", code)
	}
	if want := "smolvm API server listening on unix://" + s.socket + "\n"; s.stdout.String() != want || s.stderr.String() != "\nShutting down server (VMs continue running)...\n" {
		t.Errorf("the server said %q, %q", s.stdout.String(), s.stderr.String())
	}
	if _, err := os.Lstat(s.socket); !os.IsNotExist(err) {
		t.Errorf("its socket: %v", err)
	}
	if got := h.guest("echo outlived"); got != "outlived\n" {
		t.Errorf("the machine: %q", got)
	}
	serveEnds(t, h)
}

// serveEnds is the second half of a machine's life, with another server.
func serveEnds(t *testing.T, h *host) {
	t.Helper()
	s := h.serveAPI()
	var got apiResult
	var stopped machineInfo
	if code := s.ask("POST", "/api/v1/machines/m/stop", "", &stopped); code != 200 || stopped.State != "stopped" || stopped.PID != 0 {
		t.Errorf("stop: %d %+v", code, stopped)
	}
	if code := s.ask("POST", "/api/v1/machines/m/exec", `{"command":["true"]}`, &got); code != 200 {
		t.Errorf("exec of a stopped machine, which starts it: %d %+v", code, got)
	}
	var deleted map[string]string
	if code := s.ask("DELETE", "/api/v1/machines/m", "", &deleted); code != 200 || deleted["deleted"] != "m" {
		t.Errorf("delete: %d %v", code, deleted)
	}
	if got := h.must("machine", "ls", "--json"); got != "[]\n" {
		t.Errorf("after the delete: %s", got)
	}
}

// A machine that a server started and whose supervisor died is no zombie of the server's.
func TestServeReapsSupervisors(t *testing.T) {
	h := newHost(t, newest)
	requireNamespaces(t)
	s := h.serveAPI()
	var info machineInfo
	s.ask("POST", "/api/v1/machines", `{"name":"m"}`, nil)
	s.ask("POST", "/api/v1/machines/m/start", "", &info)
	if err := syscall.Kill(info.PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the supervisor is reaped", func() bool { return syscall.Kill(info.PID, 0) == syscall.ESRCH })
	if s.ask("GET", "/api/v1/machines/m", "", &info); info.State != "stopped" {
		t.Errorf("got %+v", info)
	}
}

func TestServeAnswersToErrors(t *testing.T) {
	h := newHost(t, newest)
	h.must("machine", "create", "--name", "taken")
	s := h.serveAPI()
	for _, c := range []struct {
		method, path, body string
		status             int
		code, text         string
	}{
		{"GET", "/api/v1/machines/nobody", "", 404, "NOT_FOUND", "machine 'nobody' not found"},
		{"POST", "/api/v1/machines/nobody/start", "", 404, "NOT_FOUND", "machine 'nobody' not found"},
		{"POST", "/api/v1/machines/nobody/stop", "", 404, "NOT_FOUND", "machine 'nobody' not found"},
		{"DELETE", "/api/v1/machines/nobody", "", 404, "NOT_FOUND", "machine 'nobody' not found"},
		{"POST", "/api/v1/machines/nobody/exec", `{"command":["true"]}`, 404, "NOT_FOUND", "machine 'nobody' not found"},
		{"POST", "/api/v1/machines/taken/exec", `{"command":[]}`, 400, "BAD_REQUEST", "command cannot be empty"},
		{"POST", "/api/v1/machines", `{"name":"taken"}`, 409, "CONFLICT", "machine 'taken' already exists"},
		{"POST", "/api/v1/machines", `{"name":""}`, 400, "BAD_REQUEST", ""},
		{"POST", "/api/v1/machines", `{"name":"m","allowedCidrs":["nonsense"]}`, 400, "BAD_REQUEST", ""},
		{"POST", "/api/v1/machines", `{"name":"m","networkBackend":"nonsense"}`, 400, "BAD_REQUEST", ""},
		{"POST", "/api/v1/machines", `{"name":"m","from":"a","image":"b"}`, 400, "BAD_REQUEST", "'from' and 'image' are mutually exclusive"},
		{"POST", "/api/v1/machines", `{"name":`, 400, "BAD_REQUEST", ""},
		{"POST", "/api/v1/machines", `{"name":1}`, 422, "BAD_REQUEST", ""},
		{"POST", "/api/v1/machines", ``, 415, "BAD_REQUEST", ""},
	} {
		var e struct{ Error, Code string }
		status := s.ask(c.method, c.path, c.body, &e)
		if status != c.status || e.Code != c.code || e.Error == "" || c.text != "" && e.Error != c.text {
			t.Errorf("%s %s %s: %d %+v", c.method, c.path, c.body, status, e)
		}
	}
	if code := s.ask("GET", "/nonsense", "", nil); code != 404 {
		t.Errorf("unknown path: %d", code)
	}
	if got := h.must("machine", "ls", "--json"); strings.Contains(got, `"name": "m"`) {
		t.Errorf("a refused create left %s", got)
	}
}

// The record tells the policy from 1.3.0 on, and takes one in every release: an empty list lets nothing through.
func TestServePolicy(t *testing.T) {
	for _, c := range []struct {
		release, body string
		policy        bool
		allow         []string
		backend       string
		told          bool
	}{
		{"0.8.0", `{"name":"m","network":true,"networkBackend":"virtio-net","allowedCidrs":["10.9.8.7"]}`, true, []string{"10.9.8.7/32"}, "", false},
		{"1.2.5", `{"name":"m","network":true}`, false, nil, "", false},
		{"1.4.1", `{"name":"m","network":true,"allowedCidrs":[]}`, true, nil, "", true},
		{"1.7.2", `{"name":"m","network":true,"networkBackend":"virtio-net","allowedCidrs":["10.0.0.0/8"]}`, true, []string{"10.0.0.0/8"}, "virtio-net", true},
		{"1.8.0", `{"name":"m","network":true}`, false, nil, "virtio-net", false},
		{"1.8.0", `{"name":"m","allowedCidrs":["10.9.8.7"]}`, true, []string{"10.9.8.7/32"}, "", true},
	} {
		h := newHost(t, c.release)
		var info machineInfo
		h.serveAPI().ask("POST", "/api/v1/machines", c.body, &info)
		r, err := store{filepath.Join(h.dir, ".local/share/smolvm-sim/machines")}.load("m")
		if err != nil {
			t.Fatal(err)
		}
		if r.Policy != c.policy || !cmp.Equal(r.Allow, c.allow) || r.Backend != c.backend || r.Network != strings.Contains(c.body, `"network":true`) {
			t.Errorf("%s %s: recorded %+v", c.release, c.body, r)
		}
		if told := info.AllowedCIDRs != nil; told != c.told {
			t.Errorf("%s %s: the answer tells the policy: %v", c.release, c.body, told)
		}
	}
}

func TestServeFloor(t *testing.T) {
	for _, c := range []struct {
		release string
		env     environ
		want    string
	}{
		{"1.3.9", environ{}, "strict"}, {"1.3.9", environ{"SMOLVM_EGRESS_FLOOR": "metadata"}, "metadata"}, {"1.2.5", environ{}, ""},
	} {
		s := &session{features: atRelease(t, c.release), env: c.env}
		if got := s.serving().env["SMOLVM_EGRESS_FLOOR"]; got != c.want {
			t.Errorf("%+v: got %q", c, got)
		}
	}
}

func TestServeListens(t *testing.T) {
	h := newHost(t, newest, "XDG_RUNTIME_DIR=/nowhere/xdg")
	s := h.serveAPI()
	for _, c := range []struct{ target, want string }{
		{"nonsense:80", "Error: config operation failed: parse listen address: invalid address 'nonsense:80'"},
		{"unix://" + s.socket, "another server listens at"},
		{"/dev/null", `"/dev/null" is not a socket`},
	} {
		if got := h.run("serve", "start", "--listen", c.target); got.code != 1 || !strings.Contains(got.stderr, c.want) {
			t.Errorf("%s: %+v", c.target, got)
		}
	}
	// A server that was killed leaves its socket; the next one takes its place.
	_ = s.cmd.Process.Kill()
	_ = s.cmd.Wait()
	if _, err := os.Lstat(s.socket); err != nil {
		t.Fatal(err)
	}
	h.serveAPI().stop()
	if got := (&session{env: environOf(h.env)}).defaultListen(); got != "unix:///nowhere/xdg/smolvm.sock" {
		t.Errorf("default: %s", got)
	}
	if got := (&session{}).defaultListen(); got != "unix:///tmp/smolvm.sock" {
		t.Errorf("default without XDG_RUNTIME_DIR: %s", got)
	}
}

func TestServeOnTCP(t *testing.T) {
	h := newHost(t, newest)
	cmd := h.command("serve", "start", "-l", "127.0.0.1:0")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Wait()                       //nolint:errcheck // ended below
	defer cmd.Process.Signal(os.Interrupt) //nolint:errcheck // it may be gone
	line := make([]byte, 128)
	n, err := out.Read(line)
	if err != nil {
		t.Fatal(err)
	}
	url, ok := strings.CutPrefix(strings.TrimSpace(string(line[:n])), "smolvm API server listening on ")
	if !ok {
		t.Fatalf("the server said %q", line[:n])
	}
	resp, err := http.Get(url + "/health")
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != 200 {
		t.Errorf("health: %d", resp.StatusCode)
	}
}

func TestServeOpenAPI(t *testing.T) {
	var spec struct {
		OpenAPI string
		Paths   map[string]map[string]any
	}
	if err := json.Unmarshal([]byte(newHost(t, newest).must("serve", "openapi")), &spec); err != nil {
		t.Fatal(err)
	}
	if spec.OpenAPI == "" || spec.Paths["/api/v1/machines/{name}/exec"]["post"] == nil || spec.Paths["/api/v1/machines"]["get"] == nil {
		t.Errorf("got %+v", spec)
	}
}
