//go:build linux

package sim

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// guestPID is a machine's supervisor, and the pid namespace by which its guest's processes are found.
func (h *host) guestPID(t *testing.T) (supervisorPID int, namespace string) {
	t.Helper()
	r, err := store{filepath.Join(h.dir, ".local/share/smolvm-sim/machines")}.load("m")
	if err != nil {
		t.Fatal(err)
	}
	return r.PID, strings.TrimSpace(h.guest("readlink /proc/self/ns/pid"))
}

// inNamespace counts the processes in a pid namespace. One that has ended counts no more, though this host's pid 1 may take its
// time to reap it.
func inNamespace(t *testing.T, namespace string) int {
	t.Helper()
	links, err := filepath.Glob("/proc/[0-9]*/ns/pid")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, l := range links {
		if to, err := os.Readlink(l); err != nil || to != namespace {
			continue
		}
		if status, _ := os.ReadFile(strings.TrimSuffix(l, "ns/pid") + "status"); !strings.Contains(string(status), "\nState:\tZ") {
			n++
		}
	}
	return n
}

func TestKilledSupervisorLeavesNothing(t *testing.T) {
	h := newHost(t, newest)
	h.boot()
	h.guest("(setsid sleep 4714 </dev/null >/dev/null 2>&1 &)")
	pid, namespace := h.guestPID(t)
	if n := inNamespace(t, namespace); n < 2 {
		t.Fatalf("%d processes in the guest's namespace, want pid 1 and a sleep", n)
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the guest's processes are gone", func() bool { return inNamespace(t, namespace) == 0 })
	if got := h.must("machine", "status", "--name", "m"); got != "Machine 'm': stopped\n" {
		t.Errorf("status: %s", got)
	}
	h.must("machine", "start", "--name", "m")
	if got := h.guest("echo again"); got != "again\n" {
		t.Errorf("after a new start: %q", got)
	}
}

func TestStopLeavesNothing(t *testing.T) {
	h := newHost(t, newest)
	mounts := hostShell(t, "grep -v docker /proc/self/mounts")
	h.boot()
	h.guest("(trap '' TERM; setsid sleep 4715 </dev/null >/dev/null 2>&1 &)")
	_, namespace := h.guestPID(t)
	if got := hostShell(t, "grep -v docker /proc/self/mounts"); got != mounts {
		t.Errorf("a running machine shows in the host's mounts:\n%s", got)
	}
	h.must("machine", "stop", "--name", "m")
	if n := inNamespace(t, namespace); n != 0 {
		t.Errorf("%d processes left", n)
	}
	h.must("machine", "delete", "-f", "--name", "m")
	if _, err := os.Lstat(h.vmDir("m")); !os.IsNotExist(err) {
		t.Errorf("the machine's directory: %v", err)
	}
	if got := hostShell(t, "grep -v docker /proc/self/mounts"); got != mounts {
		t.Errorf("mounts left:\n%s", got)
	}
}

// 0.8.0 deletes a running machine's directory and leaves its VMM; a sweep finds it, and so does the next release's start.
func TestDeleteOfARunningMachine(t *testing.T) {
	for _, release := range []string{"0.8.0", newest} {
		t.Run(release, func(t *testing.T) {
			h := newHost(t, "0.8.0")
			h.boot()
			_, namespace := h.guestPID(t)
			h.env = append(h.env, "SMOLVM_SIM_VERSION="+release)
			name := []string{"--name", "m"}
			if release == "0.8.0" {
				name = []string{"m"}
			}
			h.must(append([]string{"machine", "delete", "-f"}, name...)...)
			orphaned := inNamespace(t, namespace) > 0
			if want := release == "0.8.0"; orphaned != want {
				t.Errorf("orphaned: %v, want %v", orphaned, want)
			}
			out := h.must("_sweep")
			if found := strings.Contains(out, "Killed orphaned _boot-vm"); found != orphaned {
				t.Errorf("_sweep: %q", out)
			}
			eventually(t, "the orphan's guest is gone", func() bool { return inNamespace(t, namespace) == 0 })
		})
	}
}

func TestStartReapsAnOrphan(t *testing.T) {
	h := newHost(t, "0.8.0")
	h.boot()
	_, namespace := h.guestPID(t)
	h.must("machine", "delete", "-f", "m")
	h.must("machine", "create", "m")
	h.env = append(h.env, "SMOLVM_SIM_VERSION="+newest)
	if got := h.run("machine", "start", "--name", "m"); got.code != 0 || !strings.Contains(got.stderr, "Killing orphaned _boot-vm process") {
		t.Errorf("got %+v", got)
	}
	eventually(t, "the orphan's guest is gone", func() bool { return inNamespace(t, namespace) == 0 })
}

func TestSweepLeavesTheLivingAlone(t *testing.T) {
	h := newHost(t, newest)
	h.boot()
	if out := h.must("_sweep"); out != "" {
		t.Errorf("_sweep: %s", out)
	}
	if got := h.guest("echo alive"); got != "alive\n" {
		t.Errorf("got %q", got)
	}
}

// A command that is killed while it waits has recorded nothing: what it started must end.
func TestKilledStartLeavesNothing(t *testing.T) {
	h := newHost(t, newest)
	requireNamespaces(t)
	h.must("machine", "create", "--name", "m")
	cmd := h.command("machine", "start", "--name", "m")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	vms := filepath.Join(h.dir, ".cache/smolvm-sim/vms")
	eventually(t, "a supervisor is there", func() bool { return len(supervisors(vms)) == 1 })
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	eventually(t, "no supervisor is left, or its machine is recorded", func() bool {
		r, err := store{filepath.Join(h.dir, ".local/share/smolvm-sim/machines")}.load("m")
		return err == nil && (r.State == stateRunning || len(supervisors(vms)) == 0)
	})
}

func TestConcurrentStarts(t *testing.T) {
	h := newHost(t, newest)
	requireNamespaces(t)
	h.must("machine", "create", "--name", "m")
	results := make(chan result, 4)
	for range cap(results) {
		go func() { results <- h.run("machine", "start", "--name", "m") }()
	}
	started := 0
	for range cap(results) {
		r := <-results
		switch {
		case r.code == 0 && strings.Contains(r.stderr, "Starting"):
			started++
		case r.code == 0 && strings.Contains(r.stdout, "already running"):
		case r.code == 1 && strings.Contains(r.stderr, "another process is already starting or running this VM"):
		default:
			t.Errorf("%+v", r)
		}
	}
	if started != 1 {
		t.Errorf("%d starts started it", started)
	}
}
