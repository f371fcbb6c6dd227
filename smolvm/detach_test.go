package smolvm

import (
	"errors"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"bottle.internal/smolvm/smolvmtest"
)

func TestExecDetached(t *testing.T) {
	cmd := Command{Argv: []string{"sleep", "1 h"}, Env: []string{"A=1"}, Dir: "/tmp"}
	for _, row := range []struct {
		release string
		reply   smolvmtest.Reply
		pid     int
		line    string
	}{
		{"1.3.0", smolvmtest.Reply{Stdout: "42\n"}, 42, "machine exec --name m -d -w /tmp -e A=1 -- sleep 1 h"},
		{"1.9.3", smolvmtest.Reply{Stdout: "Started: PID 43\n"}, 43, "machine exec --name m -d -w /tmp -e A=1 -- sleep 1 h"},
		{"1.9.3", smolvmtest.Reply{Stdout: "started\n"}, 0, "machine exec --name m -d -w /tmp -e A=1 -- sleep 1 h"},
		{"1.2.5", smolvmtest.Reply{Guest: &smolvmtest.Guest{Stdout: "44\n"}}, 44,
			"machine exec --name m --stream -w /tmp -e A=1 --timeout 60s -- sh -c " + detachScript + " sh sleep 1 h"},
	} {
		c, fake := scripted(t, row.release, row.reply)
		if pid, err := c.ExecDetached(t.Context(), "m", cmd); err != nil || pid != row.pid {
			t.Errorf("%s: %d, %v", row.release, pid, err)
		}
		wantLines(t, fake, row.line)
	}
}

func TestExecDetachedFailing(t *testing.T) {
	for name, row := range map[string]struct {
		release string
		reply   smolvmtest.Reply
		want    error
	}{
		"no such program":    {"1.2.5", smolvmtest.Reply{Guest: &smolvmtest.Guest{Stderr: "x: not found\n", Exit: 127}}, errNotLeft},
		"no PID":             {"1.2.5", smolvmtest.Reply{Guest: &smolvmtest.Guest{}}, errNotLeft},
		"shell, not running": {"1.2.5", failing(notRunning), ErrNotRunning},
		"-d, not running":    {"1.9.3", failing(notRunning), ErrNotRunning},
	} {
		c, _ := scripted(t, row.release, row.reply)
		if _, err := c.ExecDetached(t.Context(), "m", Command{Argv: []string{"x"}}); !errors.Is(err, row.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	c, fake := scripted(t, "1.9.3")
	_, err := c.ExecDetached(t.Context(), "m", Command{Argv: []string{"x"}, Timeout: 1})
	wantIs(t, err, ErrInvalid)
	noCalls(t, fake)
}

// An image machine of an old release ends what a command has started.
func TestExecDetachedInImage(t *testing.T) {
	c, _ := scripted(t, "1.2.5", smolvmtest.Reply{})
	if err := c.Create(t.Context(), "m", CreateOptions{Image: "a"}); err != nil {
		t.Fatal(err)
	}
	_, err := c.ExecDetached(t.Context(), "m", Command{Argv: []string{"x"}})
	wantIs(t, err, ErrUnsupported)
}

// The script itself: it ends at once, tells the PID, and leaves the command running with no stream held.
func TestDetachScript(t *testing.T) {
	out, err := exec.Command("sh", "-c", detachScript, "sh", "sleep", "60").Output() // returns when all holders of stdout have gone
	pid := lastNumber(out)
	if err != nil || pid == 0 {
		t.Fatalf("%q, %v", out, err)
	}
	defer func() { _ = syscall.Kill(pid, syscall.SIGKILL) }()
	for deadline := time.Now().Add(10 * time.Second); !strings.Contains(procfs()[pid], "sleep"); {
		if time.Now().After(deadline) || len(procfs()) == 0 {
			t.Fatalf("%d is %q", pid, procfs()[pid])
		}
	}
	missing := exec.Command("sh", "-c", detachScript, "sh", "no-such-program")
	if _ = missing.Run(); missing.ProcessState.ExitCode() != 127 {
		t.Errorf("%s, want 127", missing.ProcessState)
	}
}
