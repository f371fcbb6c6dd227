//go:build linux

package sim

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// vms are the supervisors of the host's machines.
func (h *host) vms() []supervisor { return supervisors(filepath.Join(h.dir, ".cache/smolvm-sim/vms")) }

// A guest that does not come up lives on below 1.5.0 when its start is over, where no start or stop ends it.
func TestFailedStartLeavesItsVM(t *testing.T) {
	for release, want := range map[string]int{"1.4.1": 1, "1.7.2": 0} {
		t.Run(release, func(t *testing.T) {
			t.Parallel()
			requireNamespaces(t)
			h := newHost(t, release, "SMOLVM_SIM_FAULTS="+string(faultStartHangs))
			h.must(h.createArgs("m")...)
			start := h.command("machine", "start", "--name", "m")
			if err := start.Start(); err != nil {
				t.Fatal(err)
			}
			eventually(t, "the guest serves", func() bool { return (machine{dir: h.vmDir("m")}).ping() == nil })
			_ = start.Process.Kill()
			_ = start.Wait()
			if want == 0 {
				eventually(t, "the supervisor is gone", func() bool { return len(h.vms()) == 0 })
				return
			}
			time.Sleep(300 * time.Millisecond)
			if got := h.must("machine", "stop", "--name", "m"); got != "Machine 'm' is not running (state: created)\n" || len(h.vms()) != want {
				t.Errorf("%d processes are left; %s", len(h.vms()), got)
			}
			if got := h.run("machine", "start", "--name", "m"); got.code != 1 || !strings.Contains(got.stderr, "another process is already starting") {
				t.Errorf("a second start: %+v", got)
			}
		})
	}
}

func TestGiveUp(t *testing.T) {
	for release, lives := range map[string]bool{"1.4.1": true, "1.7.2": false} {
		cmd := exec.Command("sleep", "60")
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		s := &session{features: atRelease(t, release)}
		if got := s.giveUp(machine{dir: t.TempDir()}, cmd, errNotReady); !errors.Is(got, errNotReady) {
			t.Errorf("%s: %v", release, got)
		}
		if got := cmd.Process.Kill() == nil; got != lives {
			t.Errorf("%s: it lives: %t", release, got)
		}
	}
}

// interrupted starts a machine whose start does not end, tells it signal once the guest is at its work, and waits for the command's end.
func (h *host) interrupted(signal os.Signal, args ...string) {
	h.t.Helper()
	h.env = append(h.env, "SMOLVM_SIM_FAULTS=")
	cmd := h.command(args...)
	if err := cmd.Start(); err != nil {
		h.t.Fatal(err)
	}
	eventually(h.t, "the guest is at work", func() bool {
		seen, _ := os.ReadFile(filepath.Join(h.dir, "at-work"))
		return len(seen) > 0
	})
	if err := cmd.Process.Signal(signal); err != nil {
		h.t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	select {
	case err := <-ended:
		if err == nil {
			h.t.Errorf("%q succeeded", args)
		}
	case <-time.After(15 * time.Second):
		_ = cmd.Process.Kill()
		h.t.Errorf("%q did not end", args)
	}
}

const working = "echo yes > /host/at-work; sleep 4721"

// An interrupt of a start whose guest is up ends the guest, whatever the start waits for.
func TestInterruptedStartLeavesNothing(t *testing.T) {
	for name, c := range map[string]struct {
		release string
		make    func(h *host) []string
	}{
		"init":        {newest, func(h *host) []string { return h.createArgs("m", "-v", h.dir+":/host", "--init", working) }},
		"init, 0.8.0": {"0.8.0", func(h *host) []string { return h.createArgs("m", "-v", h.dir+":/host", "--init", working) }},
		"its command": {newest, func(h *host) []string {
			return append(h.createArgs("m", "-v", h.dir+":/host"), "--", "sh", "-c", working)
		}},
		"an ephemeral one": {newest, func(h *host) []string {
			return []string{"machine", "run", "-v", h.dir + ":/host", "--init", working, "--", "true"}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			requireNamespaces(t)
			h := newHost(t, c.release)
			if args := c.make(h); args[1] == "run" {
				h.interrupted(syscall.SIGTERM, args...)
				if got := h.must("machine", "ls"); got != "No machines found\n" {
					t.Errorf("left behind: %s", got)
				}
			} else {
				h.must(args...)
				h.interrupted(os.Interrupt, "machine", "start", "--name", "m")
				if got := h.must("machine", "status", "--name", "m", "--json"); !strings.Contains(got, `"state": "created"`) {
					t.Errorf("%s", got)
				}
			}
			if got := h.vms(); len(got) != 0 {
				t.Errorf("left behind: %v", got)
			}
		})
	}
}

// What a start that was killed has left is ended from 1.5.0 on by the next start and by a stop, and by a sweep.
func TestOrphansAreEnded(t *testing.T) {
	for name, c := range map[string]struct {
		release, want string
		args          []string
		lives         bool
	}{
		"start":      {newest, "Killing orphaned _boot-vm process", []string{"machine", "start", "--name", "m"}, true},
		"stop":       {newest, "Killing orphaned _boot-vm process", []string{"machine", "stop", "--name", "m"}, false},
		"sweep":      {newest, "Killed orphaned _boot-vm process", []string{"_sweep"}, false},
		"old start":  {"1.4.1", "another process is already starting", []string{"machine", "start", "--name", "m"}, true},
		"old stop":   {"1.4.1", "is not running (state: created)", []string{"machine", "stop", "--name", "m"}, true},
		"old, swept": {"1.4.1", "Killed orphaned _boot-vm process", []string{"_sweep"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			requireNamespaces(t)
			h := newHost(t, c.release)
			h.must(h.createArgs("m", "-v", h.dir+":/host", "--init", "test -e /host/at-work || { "+working+"; }")...)
			h.interrupted(syscall.SIGKILL, "machine", "start", "--name", "m")
			if got := h.vms(); len(got) != 1 {
				t.Fatalf("the killed start has left %d processes", len(got))
			}
			got := h.run(c.args...)
			if !strings.Contains(got.stdout+got.stderr, c.want) {
				t.Errorf("%+v", got)
			}
			eventually(t, "what is to live lives", func() bool { return (len(h.vms()) == 1) == c.lives })
		})
	}
}

// What another command is starting is no orphan.
func TestStopLeavesAStartAlone(t *testing.T) {
	t.Parallel()
	requireNamespaces(t)
	h := newHost(t, newest)
	h.must(h.createArgs("m", "-v", h.dir+":/host", "--init", "echo yes > /host/at-work; while test ! -e /host/go; do sleep 0.05; done")...)
	start := h.command("machine", "start", "--name", "m")
	if err := start.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the guest is at work", func() bool { _, err := os.Stat(filepath.Join(h.dir, "at-work")); return err == nil })
	h.must("machine", "stop", "--name", "m")
	h.must("_sweep")
	if got := h.run("machine", "start", "--name", "m"); got.code != 1 || !strings.Contains(got.stderr, "another process is already starting") {
		t.Errorf("%+v", got)
	}
	if err := os.WriteFile(filepath.Join(h.dir, "go"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := start.Wait(); err != nil {
		t.Error(err)
	}
	if got := h.guest("echo alive"); got != "alive\n" {
		t.Errorf("%q", got)
	}
}

// A detached run does not wait for its command, in a bare guest either.
func TestRunDetachedOfABareGuest(t *testing.T) {
	t.Parallel()
	requireNamespaces(t)
	h := newHost(t, newest)
	began := time.Now()
	h.must("machine", "run", "-d", "-n", "m", "--", "sh", "-c", "echo yes > /done; sleep 50")
	if took := time.Since(began); took > 20*time.Second {
		t.Errorf("it took %s", took)
	}
	eventually(t, "the command ran", func() bool { return h.run("machine", "exec", "--name", "m", "--", "cat", "/done").stdout == "yes\n" })
}
