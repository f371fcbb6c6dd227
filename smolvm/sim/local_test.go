//go:build linux

package sim

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// rootFiles makes a directory that a machine can be made of.
func rootFiles(t *testing.T) string {
	t.Helper()
	program, err := guestProgram()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for _, d := range []string{"bin", "srv"} {
		if err := os.Mkdir(filepath.Join(dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for path, text := range map[string]string{"bin/guest": string(program), "srv/x": "of the directory"} {
		if err := os.WriteFile(filepath.Join(dir, path), []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("guest", filepath.Join(dir, "bin/sh")); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestImageOfADirectory(t *testing.T) {
	h := newHost(t, newest)
	dir := rootFiles(t)
	h.boot("--image", dir, "--", "guest", "echo", "up")
	if got := h.tool("cat", "/srv/x"); got != "of the directory" {
		t.Errorf("got %q", got)
	}
	h.tool("write", "/srv/x", "changed")
	if got, _ := os.ReadFile(filepath.Join(dir, "srv/x")); string(got) != "of the directory" {
		t.Errorf("the guest wrote to the host's directory: %q", got)
	}
}

func TestImageFromStdin(t *testing.T) {
	requireNamespaces(t)
	h := newHost(t, newest)
	archive, err := os.Open(h.saved(app(t)))
	if err != nil {
		t.Fatal(err)
	}
	defer archive.Close()
	create := func(name string, stdin *os.File) result {
		cmd := h.command("machine", "create", "--name", name, "--image", "-")
		var stdout, stderr strings.Builder
		cmd.Stdin, cmd.Stdout, cmd.Stderr = stdin, &stdout, &stderr
		if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
			t.Fatal(err)
		}
		return result{stdout.String(), stderr.String(), cmd.ProcessState.ExitCode()}
	}
	if got := create("m", archive); got.code != 0 {
		t.Fatalf("got %+v", got)
	}
	h.must("machine", "start", "--name", "m")
	if got := h.tool("cat", "/srv/lower"); got != "below" {
		t.Errorf("got %q", got)
	}
	if got := create("empty", nil); got.code != 1 || !strings.Contains(got.stderr, "stdin is empty") {
		t.Errorf("nothing on stdin: %+v", got)
	}
	if got := h.must("machine", "ls", "--json"); strings.Contains(got, `"empty"`) {
		t.Errorf("a create that failed left %s", got)
	}
}

// A bare machine's workload runs to its end before start ends, its output among start's.
func TestWorkloadOfABareMachine(t *testing.T) {
	requireNamespaces(t)
	h := newHost(t, newest)
	h.must("machine", "create", "--name", "m", "--", "sh", "-c", "echo out; echo err >&2; echo x > /tmp/ran; exit 3")
	got := h.run("machine", "start", "--name", "m")
	if got.code != 0 || !strings.HasPrefix(got.stdout, "out\nerr\n") || !strings.Contains(got.stderr, "WARN workload exited with 3") {
		t.Errorf("got %+v", got)
	}
	if got := h.guest("cat /tmp/ran"); got != "x\n" {
		t.Errorf("it wrote %q", got)
	}
}

// A machine whose agent does not answer is unreachable, and a start kills it and boots it again.
func TestUnreachableMachine(t *testing.T) {
	t.Parallel()
	h := newHost(t, newest)
	h.boot()
	supervisor, _ := h.guestPID(t)
	children, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%[1]d/children", supervisor))
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(children)))
	if err != nil {
		t.Fatalf("the supervisor has the children %q: %v", children, err)
	}
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	if got := h.must("machine", "status", "--name", "m"); got != "Machine 'm': unreachable\n" {
		t.Errorf("status: %q", got)
	}
	h.must("machine", "start", "--name", "m")
	if got := h.guest("echo again"); got != "again\n" {
		t.Errorf("after the start: %q", got)
	}
	if err := syscall.Kill(pid, 0); err != syscall.ESRCH {
		t.Errorf("the old guest's pid 1: %v", err)
	}
}

// A record that cannot be read fails the commands that need it, the list among them, and says which it is.
func TestDamagedRecord(t *testing.T) {
	h := newHost(t, newest)
	h.must("machine", "create", "--name", "m")
	path := filepath.Join(h.dir, ".local/share/smolvm-sim/machines/m.json")
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	defer os.WriteFile(path, good, 0o600) //nolint:errcheck // for the host's own clean-up
	for _, args := range [][]string{{"status", "--name", "m"}, {"ls", "--json"}, {"start", "--name", "m"}, {"stop", "--name", "m"}} {
		got := h.run(append([]string{"machine"}, args...)...)
		if got.code != 1 || !strings.HasPrefix(got.stderr, "Error: database operation failed: load machine: ") || !strings.Contains(got.stderr, path) {
			t.Errorf("%v: %+v", args, got)
		}
	}
}

func TestNamespaceErrorNamesTheWayOut(t *testing.T) {
	for _, errno := range refusals {
		err := namespaceError(errno)
		if !errors.Is(err, errno) || !strings.Contains(err.Error(), "namespaces are refused") || strings.Contains(err.Error(), "\n") {
			t.Errorf("%v: %v", errno, err)
		}
	}
	if err := namespaceError(syscall.ENOENT); !errors.Is(err, syscall.ENOENT) || err.Error() != syscall.ENOENT.Error() {
		t.Errorf("another failure became %v", err)
	}
}

// A boot process that dies is explained by what it wrote down.
func TestStartupError(t *testing.T) {
	m := machine{dir: t.TempDir()}
	outside := errors.New("it ended")
	if err := m.startupError(outside); !errors.Is(err, outside) {
		t.Errorf("without a file: %v", err)
	}
	if err := os.WriteFile(m.file(fileStartupError), []byte("the reason\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := m.startupError(outside); err.Error() != "the reason" {
		t.Errorf("with one: %v", err)
	}
}

func TestPackInspect(t *testing.T) {
	h := newHost(t, newest)
	ref := pushed(t, app(t))
	var report imageReport
	if err := json.Unmarshal([]byte(h.must("pack", "inspect", ref, "--json")), &report); err != nil {
		t.Fatal(err)
	}
	if report.Reference != ref || report.OS != "linux" || report.LayerCount != 2 || len(report.Layers) != 2 || report.Digest == "" {
		t.Errorf("got %+v", report)
	}
	if got := h.must("pack", "inspect", ref); !strings.Contains(got, report.Digest) || !strings.Contains(got, "Command: guest write") {
		t.Errorf("got %q", got)
	}
	if got := h.run("pack", "inspect", "./x.smolmachine"); got.code != 1 || !strings.Contains(got.stderr, "config operation failed: pack inspect: ") {
		t.Errorf("a file: %+v", got)
	}
}

// Whom a command runs as follows the image's files where its user is a name.
func TestContainerUserByName(t *testing.T) {
	if os.Geteuid() != 0 {
		skip(t, "an ordinary user's guest has one id")
	}
	requireNamespaces(t)
	for user, want := range map[string]string{"app:team": "1000 1001 ", "app:extra": "1000 1002 ", "1000:7": "1000 7 ", "0": "0 0 "} {
		config := appConfig
		config.User = user
		h := newHost(t, newest)
		files := append(guest(t), file("etc/passwd", "root:x:0:0:root:/root:/bin/sh\napp:x:1000:1001:app:/home/app:/bin/sh\n"),
			file("etc/group", "root:x:0:\nteam:x:1001:\nextra:x:1002:other,app\n"), owned(directory("srv/app", 0o755), 1000, 1001))
		h.boot("--image", h.saved(imageOf(t, config, files)), "--", "guest", "echo")
		if got := h.tool("id"); !strings.HasPrefix(got, want) {
			t.Errorf("%s: %q", user, got)
		}
	}
}
