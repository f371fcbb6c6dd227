package smolvm

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"bottle.internal/smolvm/smolvmtest"
	"github.com/google/go-cmp/cmp"
)

// leftVM is a process that looks like the VM of the machine in dir. It is this binary, waiting in the test below.
func leftVM(t *testing.T, config string) *exec.Cmd {
	t.Helper()
	vm := exec.Command(os.Args[0], "-test.run=^TestPlayVM$", bootCommand, config)
	vm.Env = append(os.Environ(), "PLAY_VM=1")
	out, err := vm.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := vm.Start(); err != nil {
		t.Fatal(err)
	}
	gone := make(chan struct{})
	go func() { _ = vm.Wait(); close(gone) }()
	t.Cleanup(func() { _ = vm.Process.Kill(); <-gone })
	if _, err := out.Read(make([]byte, 1)); err != nil { // it runs
		t.Fatal(err)
	}
	return vm
}

func TestPlayVM(t *testing.T) {
	if os.Getenv("PLAY_VM") == "" {
		return // it is the process of other tests
	}
	os.Stdout.WriteString("x")
	time.Sleep(time.Minute)
}

// A start that is given up is interrupted, the machine is stopped, and what the start has left is ended.
func TestStartGivenUp(t *testing.T) {
	dir := t.TempDir()
	vm := leftVM(t, filepath.Join(dir, "boot-config.json"))
	other := leftVM(t, filepath.Join(t.TempDir(), "boot-config.json"))
	c, fake := scripted(t, "0.8.0", smolvmtest.Reply{Delay: time.Minute}, smolvmtest.Reply{Stdout: dir + "\n"}, smolvmtest.Reply{})
	if _, err := c.Version(t.Context()); err != nil {
		t.Fatal(err)
	}
	wantIs(t, c.Start(untilCalled(t, fake, "machine start"), "m"), context.Canceled)
	wantLines(t, fake, "machine start --name m", "machine data-dir m", "machine stop --name m")
	if alive(vm.Process.Pid) || !alive(other.Process.Pid) {
		t.Errorf("the machine's VM lives: %t, another's: %t", alive(vm.Process.Pid), alive(other.Process.Pid))
	}
}

// untilCalled is a context that ends when the fake has got a call that begins with line: one that is killed before has used no reply.
func untilCalled(t *testing.T, fake *smolvmtest.Fake, line string) context.Context {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	go func() {
		defer cancel()
		for ctx.Err() == nil {
			if slices.ContainsFunc(fake.Lines(), func(l string) bool { return strings.HasPrefix(l, line) }) {
				return
			}
			time.Sleep(time.Millisecond)
		}
	}()
	return ctx
}

// The VM of a machine that ran before the start that is given up is not this start's to stop.
func TestStartGivenUpOfWhatRan(t *testing.T) {
	dir := t.TempDir()
	vm := leftVM(t, filepath.Join(dir, "boot-config.json"))
	path, before := hostFile(t, filepath.Join(dir, pidFile), strconv.Itoa(vm.Process.Pid), 0o600), time.Now().Add(-time.Hour)
	if err := os.Chtimes(path, before, before); err != nil {
		t.Fatal(err)
	}
	c, fake := scripted(t, "0.8.0", smolvmtest.Reply{Delay: time.Minute}, smolvmtest.Reply{Stdout: dir + "\n"})
	if _, err := c.Version(t.Context()); err != nil {
		t.Fatal(err)
	}
	wantIs(t, c.Start(untilCalled(t, fake, "machine start"), "m"), context.Canceled)
	wantLines(t, fake, "machine start --name m", "machine data-dir m")
	if !alive(vm.Process.Pid) {
		t.Error("ended")
	}
}

// A context that has ended before starts nothing, so there is nothing to stop.
func TestStartEndedBefore(t *testing.T) {
	c, fake := scripted(t, "1.9.3")
	if _, err := c.Version(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	wantIs(t, c.Start(ctx, "m"), context.Canceled)
	noCalls(t, fake)
}

// A start that fails by itself has cleaned up by itself, but for a guest that did not come up below 1.5.0; a smolvm that was killed has not.
func TestStartFailed(t *testing.T) {
	const start, ask, stop = "machine start --name m", "machine data-dir --name m", "machine stop --name m"
	slow := failing("agent operation failed: start machine: agent operation failed: wait for ready: agent did not become ready within 30 seconds")
	for name, row := range map[string]struct {
		release string
		reply   smolvmtest.Reply
		lines   []string
	}{
		"1.5.0":           {"1.5.0", slow, []string{start}},
		"1.4.1":           {"1.4.1", slow, []string{start, ask, stop}},
		"1.4.1, no such":  {"1.4.1", failing("vm not found: m"), []string{start}},
		"1.9.3, killed":   {"1.9.3", smolvmtest.Reply{Signal: syscall.SIGKILL}, []string{start, ask, stop}},
		"1.9.3, in a way": {"1.9.3", failing("io operation failed: x"), []string{start}},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			vm := leftVM(t, filepath.Join(dir, "boot-config.json"))
			replies := []smolvmtest.Reply{row.reply, {Stdout: dir + "\n"}, {}}
			c, fake := scripted(t, row.release, replies[:len(row.lines)]...)
			if c.Start(t.Context(), "m") == nil {
				t.Error("no error")
			}
			wantLines(t, fake, row.lines...)
			if alive(vm.Process.Pid) != (len(row.lines) == 1) {
				t.Errorf("the VM lives: %t", alive(vm.Process.Pid))
			}
		})
	}
}

func TestStartGivenUpCannotTell(t *testing.T) {
	c, fake := scripted(t, "1.9.3", smolvmtest.Reply{Delay: time.Minute}, failing("io operation failed: y"), failing("io operation failed: x"))
	if _, err := c.Version(t.Context()); err != nil {
		t.Fatal(err)
	}
	err := c.Start(untilCalled(t, fake, "machine start"), "m")
	wantIs(t, err, context.Canceled)
	for _, said := range []string{"failed: x", "looking for what the start"} {
		if !contains(err, said) {
			t.Errorf("%v does not say %q", err, said)
		}
	}
}

// The PID in agent.pid counts only where it is a VM's.
func TestBootProcessesByPID(t *testing.T) {
	dir, elsewhere := t.TempDir(), filepath.Join(t.TempDir(), "x")
	vm := leftVM(t, elsewhere)
	for pid, want := range map[int][]int{vm.Process.Pid: {vm.Process.Pid}, os.Getpid(): nil} {
		hostFile(t, filepath.Join(dir, pidFile), strconv.Itoa(pid)+"\n12345\n", 0o600)
		if got, err := bootProcesses(t.Context(), dir); err != nil || !slices.Equal(got, want) {
			t.Errorf("PID %d: %v, %v", pid, got, err)
		}
	}
}

func TestLeadingPID(t *testing.T) {
	for text, want := range map[string]int{"12\n34\n": 12, " 7 x": 7, "{\"pid\":3}": 0, "": 0, "1": 0, "0": 0, "-5": 0, "99999999999": 0, "12:34": 12} {
		if got := leadingPID([]byte(text)); got != want {
			t.Errorf("%q: %d, want %d", text, got, want)
		}
	}
}

func TestParseProcesses(t *testing.T) {
	got := parseProcesses([]byte("    1 /sbin/init\n  23 smolvm _boot-vm /x y\n\nPID COMMAND\n 5\n"))
	if diff := cmp.Diff(map[int]string{1: "/sbin/init", 23: "smolvm _boot-vm /x y", 5: ""}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
