//go:build linux

package sim

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestExecStreamsAreSeparate(t *testing.T) {
	h := newHost(t, newest)
	h.boot()
	for _, mode := range [][]string{nil, {"--stream"}, {"-i"}} {
		args := append([]string{"machine", "exec", "--name", "m"}, mode...)
		got := h.run(append(args, "--", "sh", "-c", "echo out; echo err >&2; exit 3")...)
		if want := (result{"out\n", "err\n", 3}); got != want {
			t.Errorf("%v: got %+v, want %+v", mode, got, want)
		}
	}
}

func TestExecStdinIsEmptyUnlessAskedFor(t *testing.T) {
	h := newHost(t, newest)
	h.boot()
	for _, c := range []struct{ flag, want string }{{"--stream", ""}, {"-i", "from the host"}} {
		cmd := h.command("machine", "exec", "--name", "m", c.flag, "--", "cat")
		cmd.Stdin = strings.NewReader("from the host")
		out, err := cmd.Output()
		if err != nil || string(out) != c.want {
			t.Errorf("%s: got %q, %v; want %q", c.flag, out, err, c.want)
		}
	}
}

func TestExecBinarySafe(t *testing.T) {
	h := newHost(t, newest)
	h.boot()
	got := h.guest(`printf '\000\377\r\n\033'`)
	if got != "\x00\xff\r\n\x1b" {
		t.Errorf("got %q", got)
	}
}

func TestExecStreamIsLive(t *testing.T) {
	h := newHost(t, newest)
	h.boot()
	cmd := h.command("machine", "exec", "--name", "m", "--stream", "--", "sh", "-c", "echo now; sleep 60")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Wait()         //nolint:errcheck // killed below
	defer cmd.Process.Kill() //nolint:errcheck // it may be gone
	line := make([]byte, 4)
	if _, err := out.Read(line); err != nil || string(line) != "now\n" {
		t.Errorf("got %q, %v before the command's end", line, err)
	}
}

// A killed client takes the guest's command with it and leaves the machine up.
func TestExecDiesWithItsClient(t *testing.T) {
	h := newHost(t, newest)
	h.boot()
	cmd := h.command("machine", "exec", "--name", "m", "--stream", "--", "sh", "-c", "echo on; sleep 4711")
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
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	eventually(t, "the command is gone", func() bool {
		return !strings.Contains(h.guest("cat /proc/[0-9]*/cmdline | tr '\\0' ' '"), "sleep 4711 ")
	})
}

func TestExecTimeoutKillsTheCommand(t *testing.T) {
	h := newHost(t, newest)
	h.boot()
	for _, mode := range []string{"--stream", "-i"} {
		start := time.Now()
		got := h.run("machine", "exec", "--name", "m", mode, "--timeout", "100ms", "--", "sh", "-c", "echo begun; sleep 4712")
		if got.code != 124 || got.stdout != "begun\n" || time.Since(start) > 5*time.Second {
			t.Errorf("%s: got %+v after %v", mode, got, time.Since(start))
		}
	}
	if ps := h.guest("cat /proc/[0-9]*/cmdline | tr '\\0' ' '"); strings.Contains(ps, "sleep 4712 ") {
		t.Errorf("the command runs on: %s", ps)
	}
}

func TestExecOutputCap(t *testing.T) {
	const script = "head -c 12000000 /dev/zero && echo unreachable >&2"
	t.Run("0.8.0 truncates and kills the writer", func(t *testing.T) {
		h := newHost(t, "0.8.0")
		h.boot()
		got := h.run("machine", "exec", "--name", "m", "--", "sh", "-c", "exec head -c 12000000 /dev/zero")
		if len(got.stdout) != execOutputCap || got.code != exitSignalBare {
			t.Errorf("%d bytes, exit %d, %s", len(got.stdout), got.code, got.stderr)
		}
	})
	t.Run("1.9.3 fails", func(t *testing.T) {
		h := newHost(t, newest)
		h.boot()
		got := h.run("machine", "exec", "--name", "m", "--", "sh", "-c", script)
		if got.stdout != "" || got.code != 1 || !strings.Contains(got.stderr, "command output exceeded") {
			t.Errorf("%d bytes, exit %d, %s", len(got.stdout), got.code, got.stderr)
		}
		if got := h.run("machine", "exec", "--name", "m", "--stream", "--", "sh", "-c", script); len(got.stdout) != 12000000 || got.code != 0 {
			t.Errorf("--stream: %d bytes, exit %d, %s", len(got.stdout), got.code, got.stderr)
		}
	})
}

// Eight commands at once, and more than that wait.
func TestExecConcurrency(t *testing.T) {
	h := newHost(t, newest)
	h.boot()
	var wg sync.WaitGroup
	for i := range 2 * maxCommands {
		wg.Go(func() {
			text := fmt.Sprintf("command %d", i)
			got := h.run("machine", "exec", "--name", "m", "--", "sh", "-c", "sleep 0.2; echo "+text+"; exit "+fmt.Sprint(i))
			if want := (result{text + "\n", "", i}); got != want {
				t.Errorf("got %+v, want %+v", got, want)
			}
		})
	}
	wg.Wait()
}

func TestCopyRoundTrip(t *testing.T) {
	h := newHost(t, newest)
	h.boot()
	content := make([]byte, 10<<20)
	for i := range content {
		content[i] = byte(i * i >> 7)
	}
	up, down := filepath.Join(h.dir, "up"), filepath.Join(h.dir, "down")
	if err := os.WriteFile(up, content, 0o755); err != nil {
		t.Fatal(err)
	}
	h.must("machine", "cp", up, "m:/usr/local/bin/new/dir/file")
	sum := strings.Fields(h.guest("sha256sum < /usr/local/bin/new/dir/file"))[0]
	if want := strings.Fields(hostShell(t, "sha256sum < "+up))[0]; sum != want {
		t.Errorf("in the guest %s, on the host %s", sum, want)
	}
	if got := h.guest("stat -c '%a %u %g' /usr/local/bin/new/dir/file"); got != "644 0 0\n" {
		t.Errorf("mode and owner: %s", got)
	}
	h.must("machine", "cp", "m:usr/local/bin/new/dir/file", down)
	got, err := os.ReadFile(down)
	if err != nil || !bytes.Equal(got, content) {
		t.Errorf("%d bytes came back, %v", len(got), err)
	}
	h.must("machine", "cp", "--mode", "755", up, "m:/workspace/x")
	if got := h.guest("stat -c %a /workspace/x; ls -A /workspace"); got != "755\nx\n" {
		t.Errorf("--mode: %s", got)
	}
}

// A failed download removes the local file: it was truncated first.
func TestCopyFailedDownloadRemovesTheTarget(t *testing.T) {
	h := newHost(t, newest)
	h.boot()
	local := filepath.Join(h.dir, "precious")
	if err := os.WriteFile(local, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := h.run("machine", "cp", "m:/nonexistent", local); got.code != 1 {
		t.Errorf("got %+v", got)
	}
	if _, err := os.Stat(local); !os.IsNotExist(err) {
		t.Errorf("the local file: %v", err)
	}
}

// A guest's symbolic link leads through the guest's own file system, never the host's.
func TestCopyFollowsNoLinkOutOfTheGuest(t *testing.T) {
	h := newHost(t, newest)
	h.boot()
	secret, victim := filepath.Join(h.dir, "secret"), filepath.Join(h.dir, "victim")
	for _, f := range []string{secret, victim} {
		if err := os.WriteFile(f, []byte("the host's"), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	h.guest("ln -s " + secret + " /tmp/read; ln -s " + h.dir + " /tmp/dir; ln -s /proc/1/root /tmp/one")
	if got := h.run("machine", "cp", "m:/tmp/read", filepath.Join(h.dir, "got")); got.code != 1 {
		t.Errorf("read: %+v", got)
	}
	h.run("machine", "cp", victim, "m:/tmp/dir/secret")
	h.run("machine", "cp", secret, "m:/tmp/one"+victim)
	h.must("machine", "stop", "--name", "m")
	for _, f := range []string{secret, victim} {
		if got, _ := os.ReadFile(f); string(got) != "the host's" {
			t.Errorf("%s changed: %q", f, got)
		}
	}
}
