//go:build linux

package sim

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// Up to 1.0.0 a create looks the name up first and takes it last: of two at once both succeed.
func TestRacingCreates(t *testing.T) {
	for _, release := range []string{"0.8.0", "0.8.1", "1.0.2", newest} {
		h := newHost(t, release)
		s := &session{env: environOf(h.env)}
		if err := s.configure(); err != nil {
			t.Fatal(err)
		}
		create := func(cpus int, meanwhile func()) error {
			_, err := s.create("m", grammar{}, arguments{values: map[string][]string{}}, func(r *record) error {
				r.CPUs = cpus
				meanwhile()
				return nil
			})
			return err
		}
		var other error
		err := create(1, func() { other = create(2, func() {}) })
		if other != nil {
			t.Errorf("%s: the one that came in between: %v", release, other)
		}
		r, lost := s.store().load("m")
		if lost != nil {
			t.Fatal(lost)
		}
		if s.CreateReserves != (err != nil) || r.CPUs != map[bool]int{false: 1, true: 2}[s.CreateReserves] {
			t.Errorf("%s: the first: %v; the record is of %d", release, err, r.CPUs)
		}
		if err := create(3, func() {}); err == nil || !strings.Contains(err.Error(), "already exists") {
			t.Errorf("%s: one after the other: %v", release, err)
		}
	}
}

// imageHost is a host of a release with a machine of an image that runs.
func imageHost(t *testing.T, release string, env ...string) *host {
	t.Helper()
	requireNamespaces(t)
	h := newHost(t, release, env...)
	img := imageOf(t, v1.Config{Cmd: []string{"guest", "echo"}, Env: []string{"PATH=/bin"}}, append(guest(t), file("srv/big", strings.Repeat("x", execOutputCap+1))))
	h.boot("--net", "--image", pushed(t, img))
	return h
}

// From 1.4.1 to 1.6.13 the timeout of a default exec reaches no container: the client gives up, and the command runs on.
func TestTimeoutIgnored(t *testing.T) {
	for _, c := range []struct {
		release, mode string
		ignored       bool
	}{{"1.2.5", "", false}, {"1.4.1", "", true}, {"1.4.1", "--stream", false}, {"1.7.2", "", false}} {
		t.Run(c.release+c.mode, func(t *testing.T) {
			t.Parallel()
			h := imageHost(t, c.release)
			args := slices.DeleteFunc([]string{"machine", "exec", "--name", "m", "--timeout", "50ms", c.mode, "--",
				"sh", "-c", "write /began x; sleep 7s; echo x; write /ended x"}, func(s string) bool { return s == "" })
			start := time.Now()
			got := h.run(args...)
			if c.ignored {
				if got.code != 1 || !strings.Contains(got.stderr, "Error: agent operation failed: vm exec: ") || time.Since(start) < replyGrace {
					t.Errorf("got %+v after %v", got, time.Since(start))
				}
				eventually(t, "the command comes to its end", func() bool {
					return h.run("machine", "exec", "--name", "m", "--", "guest", "cat", "/ended").code == 0
				})
				return
			}
			if got.code != 124 || !strings.Contains(got.stderr, "container timed out after 50ms") {
				t.Errorf("got %+v", got)
			}
		})
	}
}

func TestFrameTooLarge(t *testing.T) {
	for release, want := range map[string]string{
		"1.4.1": "Error: agent operation failed: validate frame: frame too large: ", "1.7.2": "Error: agent operation failed: vm exec: command output exceeded",
	} {
		t.Run(release, func(t *testing.T) {
			t.Parallel()
			h := imageHost(t, release)
			if got := h.run("machine", "exec", "--name", "m", "--", "guest", "cat", "/srv/big"); got.code != 1 || got.stdout != "" || !strings.HasPrefix(got.stderr, want) {
				t.Errorf("%d bytes, exit %d, %s", len(got.stdout), got.code, got.stderr)
			}
			if got := h.run("machine", "exec", "--name", "m", "--stream", "--", "guest", "cat", "/srv/big"); got.code != 0 || len(got.stdout) != execOutputCap+1 {
				t.Errorf("--stream: %d bytes, exit %d, %s", len(got.stdout), got.code, got.stderr)
			}
		})
	}
}

// Below 1.4.1 two commands at once on an image machine can both be the second.
func TestSharedConfig(t *testing.T) {
	for _, c := range []struct {
		release string
		shared  bool
	}{{"0.8.0", true}, {"1.2.5", true}, {"1.4.1", false}} {
		t.Run(c.release, func(t *testing.T) {
			t.Parallel()
			h := imageHost(t, c.release, "SMOLVM_SIM_FAULTS="+string(faultSharedConfig))
			results := make(chan [2]string, 2)
			for _, text := range []string{"one", "two"} {
				go func() {
					r := h.run("machine", "exec", "--name", "m", "-e", "TEXT="+text, "--", "sh", "-c", "echo "+text+"; env TEXT")
					results <- [2]string{text, r.stdout}
				}()
			}
			wrong := 0
			for range cap(results) {
				r := <-results
				if r[1] != r[0]+"\n"+r[0]+"\n" {
					wrong++
				}
			}
			if want := map[bool]int{true: 1}[c.shared]; wrong != want {
				t.Errorf("%d commands ran another's command line, want %d", wrong, want)
			}
		})
	}
}

func TestBundle(t *testing.T) {
	var b bundle
	if got := b.share(request{Dir: "alone"}, time.Nanosecond); got.Dir != "alone" {
		t.Errorf("alone: %q", got.Dir)
	}
	first := make(chan request)
	go func() { first <- b.share(request{Dir: "first"}, time.Minute) }()
	eventually(t, "the first has written", func() bool {
		b.mu.Lock()
		defer b.mu.Unlock()
		return b.next != nil
	})
	if got := b.share(request{Dir: "second"}, time.Minute); got.Dir != "second" {
		t.Errorf("second: %q", got.Dir)
	}
	if got := <-first; got.Dir != "second" {
		t.Errorf("first: %q", got.Dir)
	}
}

// The API's road takes a pack and a policy together where the command line drops the policy.
func TestServePackKeepsThePolicy(t *testing.T) {
	requireNamespaces(t)
	for _, release := range []string{"0.8.0", "1.7.2", newest} {
		h := newHost(t, newest)
		path, _ := h.pack("--image", pushed(t, app(t)))
		h.env = append(h.env, "SMOLVM_SIM_VERSION="+release)
		s := h.serveAPI()
		if code := s.ask("POST", "/api/v1/machines", `{"name":"m","from":"`+path+`","network":true,"allowedCidrs":["10.9.8.7/32"],"mounts":[{"source":"`+h.dir+`","target":"/x","readonly":true}]}`, nil); code != 200 {
			t.Errorf("%s: %d", release, code)
		}
		s.stop()
		if got := s.stdout.String(); strings.Count(got, "\n") != 1 {
			t.Errorf("%s: the server said %q", release, got)
		}
		r, err := store{filepath.Join(h.dir, ".local/share/smolvm-sim/machines")}.load("m")
		if err != nil || !r.Policy || !r.Network || !slices.Equal(r.Allow, []string{"10.9.8.7/32"}) || len(r.Volumes) != 1 || r.Pack != path {
			t.Errorf("%s: recorded %+v, %v", release, r, err)
		}
	}
}
