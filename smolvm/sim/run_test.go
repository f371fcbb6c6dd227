//go:build linux

package sim

import (
	"strings"
	"syscall"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

func TestRunIsEphemeral(t *testing.T) {
	t.Parallel()
	requireNamespaces(t)
	h := newHost(t, newest)
	image := h.saved(imageOf(t, v1.Config{Cmd: []string{"guest", "echo", "by default"}}, guest(t)))
	for _, c := range []struct {
		args []string
		code int
		out  string
	}{
		{[]string{"--", "sh", "-c", "echo out; exit 3"}, 3, "out\n"},
		{[]string{"--image", image}, 0, "by default\n"},
		{[]string{"--image", image, "-e", "A=1", "-w", "/bin", "--", "sh", "-c", "env A;pwd"}, 0, "1\n/bin\n"},
		{[]string{"--image", image, "--", "nothing"}, 1, ""},
		{[]string{"--timeout", "50ms", "--", "sleep", "10"}, 124, ""},
	} {
		got := h.run(append([]string{"machine", "run"}, c.args...)...)
		if got.code != c.code || got.stdout != c.out || !strings.HasPrefix(got.stderr, "Starting ephemeral machine (vm-") {
			t.Errorf("%v: got %+v, want exit %d, %q", c.args, got, c.code, c.out)
		}
	}
	if out := h.must("machine", "ls"); out != "No machines found\n" {
		t.Errorf("left behind: %s", out)
	}
}

func TestRunDetached(t *testing.T) {
	t.Parallel()
	requireNamespaces(t)
	h := newHost(t, newest)
	h.must("machine", "run", "-d", "-n", "m", "--image", h.saved(imageOf(t, v1.Config{}, guest(t))), "--", "guest", "write", "/done", "yes")
	eventually(t, "the command ran", func() bool {
		return h.run("machine", "exec", "--name", "m", "--", "guest", "cat", "/done").stdout == "yes\n"
	})
}

// A signal ends the run and removes its machine.
func TestInterruptedRunLeavesNothing(t *testing.T) {
	t.Parallel()
	requireNamespaces(t)
	h := newHost(t, newest)
	cmd := h.command("machine", "run", "-i", "--", "sh", "-c", "echo on; sleep 4720")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := out.Read(make([]byte, 3)); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err == nil {
		t.Error("an interrupted run succeeded")
	}
	if out := h.must("machine", "ls"); out != "No machines found\n" {
		t.Errorf("left behind: %s", out)
	}
}

func TestInitRunsOnce(t *testing.T) {
	t.Parallel()
	requireNamespaces(t)
	h := newHost(t, newest)
	h.boot("--init", "echo first >> /init", "--init", "echo second >> /init")
	h.must("machine", "stop", "--name", "m")
	h.must("machine", "start", "--name", "m")
	if got := h.guest("cat /init"); got != "first\nsecond\n" {
		t.Errorf("got %q", got)
	}
	h.must("machine", "create", "--name", "bad", "--init", "echo why >&2; exit 3")
	got := h.run("machine", "start", "--name", "bad")
	if got.code != 1 || !strings.Contains(got.stderr, "exit 3: why") {
		t.Errorf("a failing init: %+v", got)
	}
	if got := h.must("machine", "status", "--name", "bad"); got != "Machine 'bad': created\n" {
		t.Errorf("after a failed start: %s", got)
	}
}

// What an image without a command does at start, and who launches its command, is the release's.
func TestImageWorkloadByRelease(t *testing.T) {
	t.Parallel()
	requireNamespaces(t)
	silent := pushed(t, imageOf(t, v1.Config{}, guest(t)))
	for release, fails := range map[string]bool{"0.8.0": false, "1.0.2": true, "1.8.0": true, newest: false} {
		h := newHost(t, release)
		h.must(h.createArgs("m", "--net", "--image", silent)...)
		if got := h.run("machine", "start", "--name", "m"); (got.code != 0) != fails {
			t.Errorf("%s: %+v", release, got)
		}
	}
}

func TestPullFailures(t *testing.T) {
	t.Parallel()
	img := imageOf(t, v1.Config{}, guest(t))
	for _, c := range []struct {
		release string
		flags   []string
		want    string
	}{
		{"0.8.0", []string{"--image", pushed(t, img)}, "no network"},
		{"0.8.0", []string{"--net", "--image", "./x.tar"}, "must start with alphanumeric"},
		{"0.8.0", []string{"--net", "--image", "alpine"}, "name resolution"},
		{newest, []string{"--net", "--image", "192.0.2.1:5000/x"}, "network is unreachable"},
		{newest, []string{"--net", "--image", "localhost:1/x"}, "connection refused"},
		{"1.2.5", []string{"--allow-cidr", "10.9.8.7/32", "--image", pushed(t, img)}, "connection refused"},
	} {
		h := newHost(t, c.release)
		h.must(h.createArgs("m", c.flags...)...)
		got := h.run("machine", "start", "--name", "m")
		if got.code != 1 || !strings.Contains(got.stderr, "Error: agent operation failed: pull image: ") || !strings.Contains(got.stderr, c.want) {
			t.Errorf("%s %v: %+v, want %q", c.release, c.flags, got, c.want)
		}
	}
}

func TestImagesAndPrune(t *testing.T) {
	t.Parallel()
	requireNamespaces(t)
	h := newHost(t, newest)
	ref := pushed(t, imageOf(t, v1.Config{}, guest(t)))
	h.must("machine", "create", "--name", "n")
	h.boot("--net", "--image", ref)
	if out := h.must("machine", "images", "--name", "m", "--json"); !strings.Contains(out, ref) || !strings.Contains(out, `"layer_count": 1`) {
		t.Errorf("images: %s", out)
	}
	if out := h.must("machine", "prune", "--name", "n", "--all"); out != "" {
		t.Errorf("prune of what is used: %s", out)
	}
	h.must("machine", "delete", "-f", "--name", "m")
	if out := h.must("machine", "prune", "--name", "n", "--dry-run"); !strings.HasPrefix(out, "Would remove layer ") {
		t.Errorf("dry run: %s", out)
	}
	if out := h.must("machine", "prune", "--name", "n", "--all"); !strings.Contains(out, "Removed layer ") || !strings.Contains(out, "Removed image sha256:") {
		t.Errorf("prune: %s", out)
	}
	if out := h.must("machine", "prune", "--name", "n", "--all"); out != "" {
		t.Errorf("a second prune: %s", out)
	}
}
