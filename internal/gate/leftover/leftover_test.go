package leftover

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestSinceTellsOursFromOthers(t *testing.T) {
	before, after := Snapshot{}, Snapshot{}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(before.docker("container", "a1\tbottle-kept\t\n"))
	must(after.docker("container", "a1\tbottle-kept\t\na2\tbottle-left\t\na3\tnice_name\torg.testcontainers=true\na4\tdatabase\t\n"))
	must(after.docker("network", "n1\tx\tinternal.bottle.slug=x-1\nn2\tsomebody\t"))
	after.process("10", "500", "/home/dev/.cache/bottle/bin/smolvm-sim", "guest")
	after.process("11", "501", "/usr/bin/sleep", "bottle-agent")
	after.process("12", "502", "/usr/bin/vim", "vim")
	after.process("13", "", "/x/smolvm-sim", "") // a zombie
	ours, others := after.Since(before)
	if d := cmp.Diff([]string{"container bottle-left", "container nice_name", "network x", "process bottle-agent (pid 11)", "process smolvm-sim (pid 10)"}, ours); d != "" {
		t.Errorf("ours: %s", d)
	}
	if d := cmp.Diff([]string{"container database", "network somebody"}, others); d != "" {
		t.Errorf("others: %s", d)
	}
}

func TestDockerThatSaysSomethingElseIsAnError(t *testing.T) {
	if err := (Snapshot{}).docker("container", "Cannot connect"); err == nil {
		t.Error("want an error")
	}
}

// A running process under one of our names, and a machine's record, must be found, and be gone once they have ended.
func TestTakeSeesWhatIsLeft(t *testing.T) {
	home := t.TempDir()
	t.Setenv("HOME", home)
	t.Setenv("XDG_DATA_HOME", "")
	t.Setenv("XDG_CACHE_HOME", "")
	before := look(t)
	bin := filepath.Join(home, "bottle-stray")
	sleep, err := exec.LookPath("sleep")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(sleep, bin); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), bin, "60")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	machine := filepath.Join(home, ".local/share/smolvm-sim/machines/bottle-x.json")
	if err := os.MkdirAll(filepath.Dir(machine), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(machine, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	ours, _ := look(t).Since(before)
	text := strings.Join(ours, "\n")
	for _, want := range []string{"process bottle-stray", "simulated machine " + machine} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not among what is left:\n%s", want, text)
		}
	}
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	if err := os.Remove(machine); err != nil {
		t.Fatal(err)
	}
	ours, _ = look(t).Since(before)
	for _, left := range ours { // other packages' tests have processes of their own
		if strings.Contains(left, home) || strings.Contains(left, "bottle-stray") {
			t.Errorf("everything has ended, and yet: %q", left)
		}
	}
}

// look takes what does not need a container engine.
func look(t *testing.T) Snapshot {
	t.Helper()
	s := Snapshot{}
	for _, f := range []func(context.Context, Snapshot) error{machines, processes, mounts} {
		if err := f(t.Context(), s); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

func TestSettleIsBounded(t *testing.T) {
	t.Setenv("PATH", "") // no docker
	t.Setenv("BOTTLE_SMOLVM", "")
	home := t.TempDir()
	t.Setenv("HOME", home)
	t.Setenv("XDG_CACHE_HOME", home)
	before, err := Take(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(home, "smolvm-sim/vms/0123456789abcdef"), 0o755); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	ours, _, err := Settle(t.Context(), before, 500*time.Millisecond)
	if err != nil || !strings.Contains(strings.Join(ours, "\n"), home) || time.Since(start) > 5*time.Second {
		t.Errorf("%q, %v after %s; want the machine after half a second", ours, err, time.Since(start))
	}
}
