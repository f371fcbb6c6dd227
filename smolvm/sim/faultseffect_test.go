//go:build linux

package sim

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// withAndWithout runs a test on a host with the fault and on one without. What start saw counts for a machine's life, what a
// command sees for the command.
func withAndWithout(t *testing.T, f fault, check func(t *testing.T, h *host, faulty bool)) {
	t.Helper()
	requireNamespaces(t)
	for _, faulty := range []bool{true, false} {
		name := "without"
		env := "SMOLVM_SIM_FAULTS="
		if faulty {
			name, env = "with", env+string(f)
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			check(t, newHost(t, newest, env), faulty)
		})
	}
}

func TestStartFailsFault(t *testing.T) {
	withAndWithout(t, faultStartFails, func(t *testing.T, h *host, faulty bool) {
		h.must("machine", "create", "--name", "m")
		got := h.run("machine", "start", "--name", "m")
		if failed := got.code == 1 && strings.Contains(got.stderr, "Error: agent operation failed: start machine: kernel panic"); failed != faulty {
			t.Errorf("got %+v", got)
		}
		want := "running"
		if faulty {
			want = "created"
		}
		if got := h.must("machine", "status", "--name", "m", "--json"); !strings.Contains(got, `"state": "`+want+`"`) {
			t.Errorf("got %s", got)
		}
	})
}

// A start that hangs ends its guest when it is given up.
func TestStartHangsFault(t *testing.T) {
	withAndWithout(t, faultStartHangs, func(t *testing.T, h *host, faulty bool) {
		h.must("machine", "create", "--name", "m")
		cmd := h.command("machine", "start", "--name", "m")
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		ended := make(chan struct{})
		go func() { _ = cmd.Wait(); close(ended) }()
		if !faulty {
			<-ended
			h.guest("true")
			return
		}
		vms := filepath.Join(h.dir, ".cache/smolvm-sim/vms")
		eventually(t, "the guest serves", func() bool { return (machine{dir: h.vmDir("m")}).ping() == nil })
		if got := h.must("machine", "status", "--name", "m"); got != "Machine 'm': created\n" || len(supervisors(vms)) != 1 {
			t.Errorf("status %q with %d supervisors", got, len(supervisors(vms)))
		}
		select {
		case <-ended:
			t.Error("start ended")
		default:
		}
		_ = cmd.Process.Kill()
		<-ended
		eventually(t, "the supervisor is gone", func() bool { return len(supervisors(vms)) == 0 })
	})
}

func TestExecHangsFault(t *testing.T) {
	withAndWithout(t, faultExecHangs, func(t *testing.T, h *host, faulty bool) {
		h.boot()
		start := time.Now()
		got := h.run("machine", "exec", "--name", "m", "--timeout", "100ms", "--", "echo", "x")
		want := result{"x\n", "", 0}
		if faulty {
			want = result{"", "Error: agent operation failed: vm exec: receive response: Resource temporarily unavailable (os error 11)\n", 1}
		}
		if got != want || faulty && time.Since(start) < replyGrace {
			t.Errorf("got %+v after %v", got, time.Since(start))
		}
	})
}

func TestCopyTruncatesFault(t *testing.T) {
	withAndWithout(t, faultCopyTruncates, func(t *testing.T, h *host, faulty bool) {
		h.boot()
		local := filepath.Join(h.dir, "f")
		if err := os.WriteFile(local, []byte("12345678"), 0o600); err != nil {
			t.Fatal(err)
		}
		h.must("machine", "cp", local, "m:/f")
		h.guest("echo 1234567 > /g")
		h.must("machine", "cp", "m:/g", local)
		want := [2]string{"12345678", "1234567\n"}
		if faulty {
			want = [2]string{"1234", "1234"}
		}
		down, err := os.ReadFile(local)
		if up := h.guest("cat /f"); err != nil || [2]string{up, string(down)} != want {
			t.Errorf("up %q, down %q, %v", up, down, err)
		}
	})
}

func TestListGarbageFault(t *testing.T) {
	withAndWithout(t, faultListGarbage, func(t *testing.T, h *host, faulty bool) {
		if got := h.must("machine", "ls", "--json"); (got != "[]\n") != faulty {
			t.Errorf("got %q", got)
		}
		if got := h.must("machine", "ls"); got != "No machines found\n" {
			t.Errorf("the table: %q", got)
		}
	})
}

func TestDeleteLeavesVMFault(t *testing.T) {
	for _, stopFirst := range []bool{true, false} {
		withAndWithout(t, faultDeleteLeavesVM, func(t *testing.T, h *host, faulty bool) {
			h.boot()
			_, namespace := h.guestPID(t)
			if stopFirst {
				if got := h.must("machine", "stop", "--name", "m"); !strings.HasSuffix(got, "Stopped machine: m\n") {
					t.Errorf("stop: %q", got)
				}
			}
			if got := h.must("machine", "delete", "-f", "--name", "m"); !strings.HasSuffix(got, "Deleted machine: m\n") {
				t.Errorf("delete: %q", got)
			}
			if left := inNamespace(t, namespace) > 0; left != faulty {
				t.Errorf("the guest lives: %v", left)
			}
			if got := h.must("machine", "ls"); got != "No machines found\n" {
				t.Errorf("ls: %q", got)
			}
		})
	}
}

func TestHostMountFault(t *testing.T) {
	withAndWithout(t, faultHostMount, func(t *testing.T, h *host, faulty bool) {
		h.boot()
		// The host's root directory has what no guest's has.
		got := h.guest("test -e /mnt/etc/passwd && echo seen; touch /mnt/tmp/bottle-guest-file 2>/dev/null && echo written; true")
		if want := map[bool]string{true: "seen\n"}[faulty]; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	})
}

func TestEnvironmentLeakFault(t *testing.T) {
	withAndWithout(t, faultEnvironment, func(t *testing.T, h *host, faulty bool) {
		h.boot("-e", "HOME=/elsewhere")
		if got := h.guest("echo $HOST_SECRET"); strings.Contains(got, "do-not-leak") != faulty {
			t.Errorf("got %q", got)
		}
		if got := h.guest("echo $HOME"); got != "/elsewhere\n" {
			t.Errorf("HOME is %q", got)
		}
	})
}

func TestHostnameLeakFault(t *testing.T) {
	host1, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	withAndWithout(t, faultHostname, func(t *testing.T, h *host, faulty bool) {
		h.boot()
		want := "m\n"
		if faulty {
			want = hostname(host1) + "\n"
		}
		if got := h.guest("hostname"); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	})
}

// What a machine leaves behind is there after delete, and nobody knows of the machine.
func TestDeleteLeavesDataFault(t *testing.T) {
	withAndWithout(t, faultDeleteLeavesData, func(t *testing.T, h *host, faulty bool) {
		h.boot()
		h.guest("echo secret > /root/left")
		dir := h.vmDir("m")
		h.must("machine", "stop", "--name", "m")
		h.must("machine", "delete", "-f", "--name", "m")
		if _, err := os.Stat(dir); (err == nil) != faulty {
			t.Errorf("the directory: %v", err)
		}
		if got := h.must("machine", "ls"); got != "No machines found\n" {
			t.Errorf("ls: %q", got)
		}
	})
}

// A machine from a pack has no policy with the fault, and one that is from none has it all the same.
func TestPackForgetsFault(t *testing.T) {
	withAndWithout(t, faultPackForgets, func(t *testing.T, h *host, faulty bool) {
		h.boot()
		h.must("machine", "stop", "--name", "m")
		path, _ := h.pack("--from-vm", "m")
		w := newWorld(t)
		h.env = append(h.env, "SMOLVM_SIM_WORLD="+w.path)
		for name, from := range map[string][]string{"packed": {"--from", path}, "plain": nil} {
			h.must(append([]string{"machine", "create", "--name", name, "--allow-cidr", "10.9.8.7"}, from...)...)
			h.must("machine", "start", "--name", name)
			h.run("machine", "exec", "--name", name, "--", "bash", "-c", "echo "+name+" > /dev/udp/198.51.100.77/4444")
			if got := soon(func() bool { return w.saw("udp 198.51.100.77:4444 " + name) }); got != (faulty && name == "packed") {
				t.Errorf("%s: open is %v", name, got)
			}
		}
	})
}
