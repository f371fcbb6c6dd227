//go:build linux

package sim

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"bottle.internal/smolvm/sim/vnet"
	"github.com/google/go-cmp/cmp"
)

func TestUpdate(t *testing.T) {
	for _, release := range []string{"0.8.0", newest} {
		h := newHost(t, release)
		h.must(h.createArgs("m", "-e", "A=1", "-e", "B=1", "--storage", "30")...)
		update := func(flags ...string) result {
			return h.inProcess(append(append([]string{"machine", "update"}, h.named("m")...), flags...)...)
		}
		got := update("--cpus", "2", "--mem", "512", "--net", "-e", "B=2", "-e", "C=3", "--remove-env", "A", "-w", "/tmp", "--overlay", "20")
		want := "Updated machine 'm':\n  cpus: 2\n  mem: 512 MiB\n  overlay: 20 GiB\n  network: true\n  workdir: /tmp\n  env: B=2\n  env: C=3\n  removed env: A\n"
		if got != (result{want, "", 0}) {
			t.Errorf("%s: got %+v", release, got)
		}
		r, err := store{filepath.Join(h.dir, ".local/share/smolvm-sim/machines")}.load("m")
		if err != nil {
			t.Fatal(err)
		}
		wantRecord := record{Name: "m", CPUs: 2, MemoryMiB: 512, Network: true, Env: []string{"B=2", "C=3"}, Workdir: "/tmp", StorageGB: 30, OverlayGB: 20, State: stateCreated, CreatedAt: r.CreatedAt, Labels: r.Labels}
		if diff := cmp.Diff(wantRecord, r); diff != "" {
			t.Errorf("%s (-want +got):\n%s", release, diff)
		}
		for _, c := range []struct {
			code  int
			text  string
			flags []string
		}{
			{0, "No changes specified", nil},
			{1, "config operation failed: update machine: --storage can only grow", []string{"--storage", "5"}},
			{2, "the argument '--net' cannot be used with '--no-net'", []string{"--net", "--no-net"}},
			{2, "unexpected argument '--allow-cidr' found", []string{"--allow-cidr", "10.0.0.1"}},
			{1, "does not simulate --gpu", []string{"--gpu"}},
		} {
			if got := update(c.flags...); got.code != c.code || !strings.Contains(got.stdout+got.stderr, c.text) {
				t.Errorf("%s %v: got %+v", release, c.flags, got)
			}
		}
	}
}

func TestUpdateVolumesAndPorts(t *testing.T) {
	h := newHost(t, newest)
	h.must("machine", "create", "--name", "m", "-p", "8001:80", "-v", h.dir+":/a", "-v", h.dir+":/b")
	update := func(flags ...string) result {
		return h.inProcess(append([]string{"machine", "update", "--name", "m"}, flags...)...)
	}
	got := update("--remove-port", "8001:80", "-p", "8002:80", "--remove-volume", h.dir+":/a", "-v", h.dir+":/c:ro")
	want := "Updated machine 'm':\n  removed volume: " + h.dir + ":/a\n  volume: " + h.dir + ":/c:ro\n  removed port: 8001:80\n  port: 8002:80\n"
	if got != (result{want, "", 0}) {
		t.Errorf("got %+v", got)
	}
	r, err := store{filepath.Join(h.dir, ".local/share/smolvm-sim/machines")}.load("m")
	wantVolumes := []volume{{Host: h.dir, Guest: "/b"}, {Host: h.dir, Guest: "/c", ReadOnly: true}}
	if err != nil || !cmp.Equal(r.Ports, []vnet.Port{{Host: 8002, Guest: 80}}) || !cmp.Equal(r.Volumes, wantVolumes) {
		t.Errorf("recorded %+v, %v", r, err)
	}
	if got := update("-p", "8002:81"); got.code != 1 || !strings.Contains(got.stderr, "duplicate host port 8002") {
		t.Errorf("a port twice: %+v", got)
	}
	if got := update("-v", "/nonexistent-of-the-host:/d"); got.code != 1 {
		t.Errorf("a volume of nothing: %+v", got)
	}
}

func TestUpdateOfARunningMachine(t *testing.T) {
	h := newHost(t, newest)
	h.boot()
	got := h.run("machine", "update", "--name", "m", "--cpus", "2")
	if got != (result{"", "Error: invalid vm state: expected stopped, got Running\n", 1}) {
		t.Errorf("got %+v", got)
	}
}

func TestEgressEvents(t *testing.T) {
	h := newHost(t, newest)
	h.must("machine", "create", "--name", "m")
	if got := h.must("machine", "egress-events", "--name", "m", "--json"); got != "[]\n" {
		t.Errorf("without a log: %q", got)
	}
	path := filepath.Join(h.vmDir("m"), fileDenials)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	want := []denial{{"2026-08-21T10:00:00Z", "tcp", "192.0.2.1:443"}, {"2026-08-21T10:00:01Z", "udp", "192.0.2.1:53"}}
	var log strings.Builder
	for _, d := range want {
		_ = json.NewEncoder(&log).Encode(d)
	}
	if err := os.WriteFile(path, []byte(log.String()+`{"timestamp": "2026-08`), 0o600); err != nil {
		t.Fatal(err)
	}
	var got []denial
	if err := json.Unmarshal([]byte(h.must("machine", "egress-events", "--name", "m", "--json")), &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if got := h.must("machine", "egress-events", "--name", "m"); !strings.Contains(got, "tcp   192.0.2.1:443") {
		t.Errorf("the table: %q", got)
	}
	h.env = append(h.env, "SMOLVM_SIM_VERSION=1.8.0")
	if got := h.run("machine", "egress-events", "--name", "m"); got.code != 2 || !strings.Contains(got.stderr, "unrecognized subcommand 'egress-events'") {
		t.Errorf("1.8.0: %+v", got)
	}
}
