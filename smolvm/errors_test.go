package smolvm

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

// The texts are smolvm's own, from the sources of the releases named.
func TestClassify(t *testing.T) {
	for _, row := range []struct {
		releases, stderr string
		code             int
		want             error
	}{
		{"0.8.0+ any", "Error: vm not found: x\n", 1, ErrNotFound},
		{"0.8.0+ status --json", "Error: config operation failed: machine status: machine 'x' not found\n", 1, ErrNotFound},
		{"0.8.0+ create", "Error: config operation failed: create machine: machine 'x' already exists\n", 1, ErrExists},
		{"1.0.0+ create", "Error: config operation failed: create machine: machine 'x' already exists or is being created\n", 1, ErrExists},
		{"0.8.0+ exec", "Error: agent operation failed: connect: machine 'x' is not running. Use 'smolvm machine start --name x' first.\n", 1, ErrNotRunning},
		{"0.8.0+ update", "Error: invalid vm state: expected stopped, got Running\n", 1, ErrState},
		{"0.8.0+ start", "Starting machine 'x'...\nError: agent operation failed: start machine: another process is already starting or running this VM\n", 1, ErrBusy},
		{"0.8.0-1.7.5", "Error: database operation failed: configure pragmas: database is locked\n", 1, ErrBusy},
		{"0.8.0+ start", "Starting machine 'x'...\nError: agent operation failed: start machine: agent operation failed: wait for ready: agent did not become ready within 30 seconds\n", 1, ErrBoot},
		{"0.8.0+ start, child died", "Error: agent operation failed: start machine: boot failed:\nkrun_start_enter: -22\n", 1, ErrBoot},
		{"0.8.0+ Linux", "Error: kvm not available: /dev/kvm does not exist\n", 1, ErrNoHypervisor},
		{"0.8.0+ Linux", "Error: agent operation failed: start machine: kvm permission denied: /dev/kvm\n", 1, ErrNoHypervisor},
		{"1.1.3+ start", "Error: config operation failed: set egress policy: tsi cannot enforce it\n", 1, ErrPolicy},
		{"1.1.3+ create", "Error: config operation failed: --net-backend tsi cannot be used with --allow-cidr\n", 1, ErrPolicy},
		{"1.0.2+ start", "Error: config operation failed: ports: published ports require the virtio-net backend (TSI is outbound-only); remove --net-backend tsi or set it to virtio-net\n", 1, ErrUnsupported},
		{"0.8.0+ start", "Error: config operation failed: ports: --net-backend virtio-net does not support published ports\n", 1, ErrUnsupported},
		{"0.8.0 exec, image", "Error: agent operation failed: vm exec: load config.json: trailing garbage at line 1\n", 1, errRaced},
		{"0.8.0 exec, image", "Error: agent operation failed: vm exec: load config.json: trailing garbage at line 1\n", 1, ErrBusy},
		{"--stream", "error: machine 'x' is not running\n", 1, ErrNotRunning},
		{"with a log", " WARN smolvm: slow\n\x1b[2mx\x1b[0m\nError: vm not found: x\n", 1, ErrNotFound},
		{"after a progress bar", "copying 10%\rcopying 99%\rError: vm not found: x", 1, ErrNotFound},
		{"clap", "error: unexpected argument 'x' found\n\nUsage: smolvm machine create\n", 2, ErrUsage},

		{"0.8.0+ a guest's text", "vm not found: x\n", 1, nil},
		{"0.8.0+ a guest's text", "my Error: vm not found: x\n", 1, nil},
		{"0.8.0+", "Error: mount source not found: /x\n", 1, nil},
		{"0.8.0+ cp", "Error: agent operation failed: read local file: x: No such file or directory\n", 1, nil},
		{"0.8.0+ exec, bare", "Error: agent operation failed: vm exec: failed to spawn command: No such file or directory (os error 2)\n", 1, nil},
		{"names", "Error: io operation failed: egress-1: kvm: net broken\n", 1, nil},
		{"success", "Error: vm not found: x\n", 0, nil},
		{"nothing", "", 1, nil},
	} {
		got := classify(row.code, row.stderr)
		if row.want == nil && got != nil || !errors.Is(got, row.want) {
			t.Errorf("%s: %q is %v, want %v", row.releases, row.stderr, got, row.want)
		}
	}
}

func FuzzClassify(f *testing.F) {
	f.Add(1, "Error: vm not found: x\n")
	f.Add(1, "a\rerror: machine 'x' is not running")
	f.Fuzz(func(t *testing.T, code int, stderr string) {
		if err := classify(code, stderr); code == 0 && err != nil {
			t.Errorf("success is %v", err)
		}
		if said := lastWords(stderr); len(said) > 610 {
			t.Errorf("%d bytes of last words", len(said))
		}
	})
}

func TestErrorText(t *testing.T) {
	argv := []string{"smolvm", "machine", "start", "--name", "x"}
	for _, row := range []struct {
		e    Error
		want string
	}{
		{Error{Argv: argv, ExitCode: 1, Stderr: "Starting…\nError: vm not found: x\n", Err: ErrNotFound},
			"smolvm machine start --name x: exit 1: no such machine: vm not found: x"},
		{Error{Argv: argv, ExitCode: 3, Stderr: "10%\r20%\n"}, "smolvm machine start --name x: exit 3: 20%"},
		{Error{Argv: argv, ExitCode: -1, Err: errors.New("signal: killed")}, "smolvm machine start --name x: signal: killed"},
	} {
		if got := row.e.Error(); got != row.want {
			t.Errorf("got  %s\nwant %s", got, row.want)
		}
	}
	if got := (&Error{Argv: argv, Stderr: "Error: " + strings.Repeat("é", 4000)}).Error(); len(got) > 700 {
		t.Errorf("an error of %d bytes", len(got))
	}
	wrapped := fmt.Errorf("launching: %w", &Error{Err: ErrBoot})
	wantIs(t, wrapped, ErrBoot)
}
