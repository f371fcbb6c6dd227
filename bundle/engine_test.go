package bundle

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// fakeEngine answers on a unix socket as far as Detect asks, and calls itself name.
func fakeEngine(t *testing.T, path, name string) {
	t.Helper()
	serveUnix(t, path, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Api-Version", "1.44")
		w.Header().Set("Content-Type", "application/json")
		switch {
		case strings.HasSuffix(r.URL.Path, "/version"):
			fmt.Fprint(w, `{"Version":"28.0.0","ApiVersion":"1.48","Os":"linux","Arch":"arm64"}`)
		case strings.HasSuffix(r.URL.Path, "/info"):
			fmt.Fprintf(w, `{"OperatingSystem":%q}`, name)
		}
	}))
}

// hungEngine takes connections and never answers.
func hungEngine(t *testing.T, path string) {
	t.Helper()
	done := make(chan struct{})
	serveUnix(t, path, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-r.Context().Done():
		case <-done:
		}
	}))
	t.Cleanup(func() { close(done) })
}

func serveUnix(t *testing.T, path string, h http.Handler) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: h}
	go func() { _ = srv.Serve(l) }()
	t.Cleanup(func() { _ = srv.Close() })
}

// dockerContext writes what `docker context create` does.
func dockerContext(t *testing.T, home, name, host string) {
	t.Helper()
	id := sha256.Sum256([]byte(name))
	write(t, filepath.Join(home, ".docker", "contexts", "meta", hex.EncodeToString(id[:]), "meta.json"),
		fmt.Sprintf(`{"Name":%q,"Endpoints":{"docker":{"Host":%q}}}`, name, host))
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// shortDir is a directory whose sockets stay below the 104 bytes that macOS allows.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "b") //nolint:usetesting // t.TempDir is too long for a socket on macOS
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// detections are hosts with engines on them, and which one is found.
var detections = []struct {
	name  string
	setup func(t *testing.T, home string) map[string]string // the environment
	want  string                                            // the engine's name, "" = ErrNoEngine
	says  string                                            // in the error
}{
	{
		name:  "nothing there",
		setup: func(*testing.T, string) map[string]string { return nil },
		says:  "no such file",
	},
	{
		name: "a known socket",
		setup: func(t *testing.T, home string) map[string]string {
			fakeEngine(t, filepath.Join(home, ".colima/default/docker.sock"), "colima")
			return nil
		},
		want: "colima",
	},
	{
		name: "a dead socket before a live one",
		setup: func(t *testing.T, home string) map[string]string {
			write(t, filepath.Join(home, "run/docker.sock"), "")
			fakeEngine(t, filepath.Join(home, ".orbstack/run/docker.sock"), "OrbStack")
			return nil
		},
		want: "OrbStack",
	},
	{
		name: "DOCKER_HOST dead, the default alive",
		setup: func(t *testing.T, home string) map[string]string {
			fakeEngine(t, filepath.Join(home, "run/docker.sock"), "default")
			return map[string]string{"DOCKER_HOST": "unix://" + filepath.Join(home, "gone.sock")}
		},
		says: "DOCKER_HOST=",
	},
	{
		name: "DOCKER_HOST goes first",
		setup: func(t *testing.T, home string) map[string]string {
			fakeEngine(t, filepath.Join(home, "run/docker.sock"), "default")
			fakeEngine(t, filepath.Join(home, "other.sock"), "other")
			return map[string]string{"DOCKER_HOST": "unix://" + filepath.Join(home, "other.sock"), "DOCKER_CONTEXT": "nosuch"}
		},
		want: "other",
	},
	{
		name: "DOCKER_HOST hangs",
		setup: func(t *testing.T, home string) map[string]string {
			hungEngine(t, filepath.Join(home, "hung.sock"))
			return map[string]string{"DOCKER_HOST": "unix://" + filepath.Join(home, "hung.sock")}
		},
		says: "no answer within",
	},
	{
		name: "a hung socket before a live one",
		setup: func(t *testing.T, home string) map[string]string {
			hungEngine(t, filepath.Join(home, "run/docker.sock"))
			fakeEngine(t, filepath.Join(home, ".rd/docker.sock"), "Rancher Desktop")
			return nil
		},
		want: "Rancher Desktop",
	},
	{
		name: "the current context",
		setup: func(t *testing.T, home string) map[string]string {
			fakeEngine(t, filepath.Join(home, "run/docker.sock"), "default")
			fakeEngine(t, filepath.Join(home, "ctx.sock"), "of the context")
			dockerContext(t, home, "mine", "unix://"+filepath.Join(home, "ctx.sock"))
			write(t, filepath.Join(home, ".docker/config.json"), `{"currentContext":"mine"}`)
			return nil
		},
		want: "of the context",
	},
	{
		name: "DOCKER_CONTEXT goes before it",
		setup: func(t *testing.T, home string) map[string]string {
			fakeEngine(t, filepath.Join(home, "ctx.sock"), "of the variable")
			dockerContext(t, home, "asked", "unix://"+filepath.Join(home, "ctx.sock"))
			write(t, filepath.Join(home, ".docker/config.json"), `{"currentContext":"mine"}`)
			return map[string]string{"DOCKER_CONTEXT": "asked"}
		},
		want: "of the variable",
	},
	{
		name: "the default context is none",
		setup: func(t *testing.T, home string) map[string]string {
			fakeEngine(t, filepath.Join(home, "run/docker.sock"), "default")
			write(t, filepath.Join(home, ".docker/config.json"), `{"currentContext":"default"}`)
			return nil
		},
		want: "default",
	},
	{
		name: "a chosen context that is dead",
		setup: func(t *testing.T, home string) map[string]string {
			fakeEngine(t, filepath.Join(home, "run/docker.sock"), "default")
			dockerContext(t, home, "mine", "unix://"+filepath.Join(home, "gone.sock"))
			return map[string]string{"DOCKER_CONTEXT": "mine"}
		},
		says: `context "mine"`,
	},
	{
		name: "a context over ssh",
		setup: func(t *testing.T, home string) map[string]string {
			dockerContext(t, home, "far", "ssh://far.test")
			return map[string]string{"DOCKER_CONTEXT": "far"}
		},
		says: "ssh helper",
	},
	{
		name: "a context that does not exist",
		setup: func(t *testing.T, home string) map[string]string {
			return map[string]string{"DOCKER_CONTEXT": "nosuch"}
		},
		says: "no such context",
	},
}

func TestDetect(t *testing.T) {
	const deadline = 300 * time.Millisecond
	for _, tt := range detections {
		t.Run(tt.name, func(t *testing.T) {
			home := shortDir(t)
			env := tt.setup(t, home)
			getenv := func(k string) string { return env[k] }
			sockets := append([]string{filepath.Join(home, "run/docker.sock")}, inHome(home)...)
			begin := time.Now()
			e, err := finder{getenv, home, deadline, sockets}.find(t.Context())
			if took := time.Since(begin); took > 3*deadline {
				t.Errorf("took %s with a deadline of %s", took, deadline)
			}
			if tt.want == "" {
				if !errors.Is(err, ErrNoEngine) || !strings.Contains(err.Error(), tt.says) {
					t.Errorf("%+v, error %v; want ErrNoEngine with %q", e, err, tt.says)
				}
				return
			}
			if err != nil || e.Name != tt.want || e.Arch != "arm64" || e.OS != "linux" || e.Version != "28.0.0" || e.APIVersion != "1.48" {
				t.Errorf("%+v, %v; want %q", e, err, tt.want)
			}
		})
	}
}

// inHome are the known sockets below home alone: the machine's own engine must not answer for a fake.
func inHome(home string) []string {
	var out []string
	for _, s := range knownSockets(home, func(string) string { return "" }) {
		if strings.HasPrefix(s, home) {
			out = append(out, s)
		}
	}
	return out
}

func TestDetectItself(t *testing.T) {
	hung := filepath.Join(shortDir(t), "hung.sock")
	hungEngine(t, hung)
	t.Setenv("DOCKER_HOST", "unix://"+hung)
	begin := time.Now()
	_, err := Detect(t.Context())
	if took := time.Since(begin); !errors.Is(err, ErrNoEngine) || !errors.Is(err, context.DeadlineExceeded) || took < time.Second || took > 4*time.Second {
		t.Errorf("%v after %s, want ErrNoEngine after 2 s", err, took)
	}
}

func TestEnvironment(t *testing.T) {
	now := time.Unix(1, 0)
	local := Engine{Host: "unix:///x.sock"}.environment(now)
	if local["TESTCONTAINERS_RYUK_DISABLED"] != "true" || local["TESTCONTAINERS_HOST_OVERRIDE"] != "127.0.0.1" || local["DOCKER_HOST"] != "unix:///x.sock" || local["TESTCONTAINERS_SESSION_ID"] == "" {
		t.Errorf("%v", local)
	}
	if far, ok := (Engine{Host: "tcp://10.0.0.1:2375"}).environment(now)["TESTCONTAINERS_HOST_OVERRIDE"]; ok {
		t.Errorf("a far engine's ports would be looked for on %s", far)
	}
}
