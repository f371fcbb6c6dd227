//go:build linux

package sim

import (
	"os/exec"
	"path/filepath"
	"strings"
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
		if got := s.giveUp(machine{dir: t.TempDir()}, cmd, errNotReady); got != errNotReady {
			t.Errorf("%s: %v", release, got)
		}
		if got := cmd.Process.Kill() == nil; got != lives {
			t.Errorf("%s: it lives: %t", release, got)
		}
	}
}
