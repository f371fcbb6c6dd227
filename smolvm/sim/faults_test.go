//go:build linux

package sim

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestUnknownFaultAndReleaseAreErrors(t *testing.T) {
	for _, c := range []struct{ env, want string }{
		{"SMOLVM_SIM_FAULTS=no-nework", "Error: config operation failed: SMOLVM_SIM_FAULTS: unknown fault 'no-nework' (known: " + strings.Join(knownFaults(), ", ") + ")\n"},
		{"SMOLVM_SIM_VERSION=0.7.2", "Error: config operation failed: SMOLVM_SIM_VERSION: '0.7.2' is not a simulated release (known: " + strings.Join(simulated, ", ") + ")\n"},
	} {
		for _, args := range [][]string{{"--version"}, {"machine", "ls"}} {
			h := newHost(t, newest, c.env)
			got := h.run(args...)
			if diff := cmp.Diff(result{"", c.want, 1}, got, cmp.AllowUnexported(result{})); diff != "" {
				t.Errorf("%s %v (-want +got):\n%s", c.env, args, diff)
			}
		}
	}
}

func TestExec137Once(t *testing.T) {
	h := newHost(t, newest, "SMOLVM_SIM_FAULTS=exec-137-once")
	h.boot()
	h.env = append(h.env, "SMOLVM_SIM_FAULTS=") // what start saw counts
	for boot := range 2 {
		if got := h.run("machine", "exec", "--name", "m", "--", "echo", "x"); got != (result{"", "", 137}) {
			t.Errorf("boot %d, first exec: %+v", boot, got)
		}
		if got := h.run("machine", "exec", "--name", "m", "--", "echo", "x"); got != (result{"x\n", "", 0}) {
			t.Errorf("boot %d, second exec: %+v", boot, got)
		}
		h.must("machine", "stop", "--name", "m")
		h.env = append(h.env, "SMOLVM_SIM_FAULTS=exec-137-once")
		h.must("machine", "start", "--name", "m")
	}
}

func TestNoNetworkFault(t *testing.T) {
	h := newHost(t, newest, "SMOLVM_SIM_FAULTS=no-network")
	h.boot("--allow-cidr", "127.77.0.2/32")
	if got := h.guest("cut -d: -f1 /proc/net/dev | tail -n +3"); strings.TrimSpace(got) != "lo" {
		t.Errorf("interfaces: %q", got)
	}
	if got := h.must("machine", "status", "--name", "m", "--json"); !strings.Contains(got, `"network": true`) {
		t.Errorf("the fault shows in %s", got)
	}
}
