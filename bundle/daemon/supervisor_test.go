package daemon

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"bottle.internal/internal/echo"
)

func TestNoDaemonsIdles(t *testing.T) {
	r := start(t, nil, "bottle-bundle")
	r.waitLine("no daemons selected")
	select {
	case <-r.done:
		t.Fatal("ended by itself")
	case <-time.After(50 * time.Millisecond):
	}
	_ = r.cmd.Process.Signal(syscall.SIGTERM)
	if code, took := r.end(); code != 0 || took > 2*time.Second {
		t.Errorf("exit code %d after %s, want 0 within 2 s", code, took)
	}
}

func TestUnknownDaemonStartsNothing(t *testing.T) {
	at := freeAddr(t)
	r := start(t, []string{"BOTTLE_BUNDLE_DAEMONS=proxy,prxy", "BOTTLE_PROXY_LISTEN=" + at.String()}, "bottle-bundle")
	if code, _ := r.end(); code != exitUsage {
		t.Errorf("exit code %d, want %d", code, exitUsage)
	}
	if got := r.stderr.String(); !strings.Contains(got, `"prxy"`) || !strings.Contains(got, "egress, proxy") {
		t.Errorf("stderr does not name the wrong and the known ones: %q", got)
	}
	if got := r.log(); got != "" {
		t.Errorf("something was started: %q", got)
	}
}

func TestOneDiesTheOthersStay(t *testing.T) {
	a, b := freeAddr(t), freeAddr(t)
	r := start(t, nil, "test", "supervise", fmt.Sprintf("a=%s=serve", a), fmt.Sprintf("b=%s=serve", b))
	r.waitLine("ready: a,b")
	if got, want := r.waitLine("[a] env"), "[a] env [ONLY=a "+noSleep+"]"; got != want {
		t.Errorf("a's environment line is %q, want %q", got, want)
	}
	killListener(t, a.String())
	r.waitLine("[a] killed by killed; 1 of 2 left")
	if _, err := echo.Ask(t.Context(), b, testNonce); err != nil {
		t.Errorf("b was lost with a: %v", err)
	}
	killListener(t, b.String())
	r.waitLine("[b] killed by killed; 0 of 2 left")
	if code, _ := r.end(); code != 1 {
		t.Errorf("with nothing left the exit code is %d, want 1", code)
	}
}

func TestOneNeverComesUp(t *testing.T) {
	a, b := freeAddr(t), freeAddr(t)
	r := start(t, nil, "test", "supervise", fmt.Sprintf("a=%s=serve", a), fmt.Sprintf("b=%s=stillborn", b))
	r.waitLine("not ready: b exited with code 3")
	if strings.Contains(r.log(), "\nready:") {
		t.Errorf("ready although b never answered:\n%s", r.log())
	}
	if _, err := echo.Ask(t.Context(), a, testNonce); err != nil {
		t.Errorf("a was lost with b: %v", err)
	}
}

func TestSomebodyElseOnThePort(t *testing.T) {
	a := freeAddr(t)
	r := start(t, nil, "test", "supervise", fmt.Sprintf("a=%s=serve", a), fmt.Sprintf("b=%s=serve", a))
	r.waitLine("not ready: ") // one of them cannot listen; the other's echo is not taken for its own
}

func TestStopWithinTwoSeconds(t *testing.T) {
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
		for _, behaviour := range []string{"serve", "stubborn"} {
			t.Run(sig.String()+" "+behaviour, func(t *testing.T) {
				t.Parallel()
				a := freeAddr(t)
				r := start(t, nil, "test", "supervise", fmt.Sprintf("a=%s=%s", a, behaviour))
				r.waitLine("ready: a")
				_ = r.cmd.Process.Signal(sig)
				if code, took := r.end(); code != 0 || took > 2*time.Second {
					t.Errorf("exit code %d after %s, want 0 within 2 s", code, took)
				}
				if behaviour == "serve" && !strings.Contains(r.log(), "[a] asked to end") {
					t.Errorf("its last words are lost:\n%s", r.log())
				}
				if _, err := echo.Ask(t.Context(), a, testNonce); err == nil {
					t.Error("the daemon outlives its supervisor")
				}
			})
		}
	}
}

func TestReapsOrphans(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux lets a process other than PID 1 inherit orphans")
	}
	a := freeAddr(t)
	r := start(t, nil, "test", "supervise", fmt.Sprintf("a=%s=orphans", a))
	r.waitLine("ready: a")
	for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		children := childrenOf(t, r.cmd.Process.Pid)
		if len(children) == 1 { // the daemon itself
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("children after 5 s: %q, want the daemon alone", children)
		}
	}
}

// childrenOf lists "pid state" of pid's children, zombies included.
func childrenOf(t *testing.T, pid int) []string {
	t.Helper()
	tasks, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, task := range tasks {
		b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%s/children", pid, task.Name()))
		out = append(out, strings.Fields(string(b))...)
	}
	return out
}

// killListener kills the process that listens on addr.
func killListener(t *testing.T, addr string) {
	t.Helper()
	ls, err := listeners()
	if err != nil {
		t.Skipf("finding the process needs /proc: %v", err)
	}
	for _, l := range ls {
		if l.Addr.String() == addr && l.PID > 1 {
			_ = syscall.Kill(l.PID, syscall.SIGKILL)
			return
		}
	}
	t.Fatalf("nobody listens on %s", addr)
}

// What is beside the daemons is up when they are, and its end is no reason to end, nor its life one to stay.
func TestBesideTheDaemons(t *testing.T) {
	canary := freeAddr(t)
	r := start(t, []string{"BOTTLE_CANARY_LISTEN=" + canary.String()}, "bottle-bundle")
	r.waitLine("no daemons selected")
	if reply, err := echo.Ask(t.Context(), canary, testNonce); err != nil || reply.Name != "canary" {
		t.Errorf("%+v, %v when PID 1 says that it is up", reply, err)
	}
	killListener(t, canary.String())
	r.waitLine("[canary] killed by killed; 0 of 0 left")
	select {
	case <-r.done:
		t.Error("ended with its canary")
	case <-time.After(50 * time.Millisecond):
	}

	proxy := freeAddr(t)
	r = start(t, []string{"BOTTLE_BUNDLE_DAEMONS=proxy", "BOTTLE_PROXY_LISTEN=" + proxy.String(), "BOTTLE_CANARY_LISTEN=" + canary.String()}, "bottle-bundle")
	r.waitLine("ready: proxy")
	killListener(t, proxy.String())
	r.waitLine("[proxy] killed by killed; 0 of 1 left")
	if code, _ := r.end(); code != 1 {
		t.Errorf("with only the canary left the exit code is %d, want 1", code)
	}
}

func TestNotUpWithoutWhatIsBeside(t *testing.T) {
	at := freeAddr(t)
	r := start(t, []string{"BOTTLE_BUNDLE_DAEMONS=proxy", "BOTTLE_PROXY_LISTEN=" + at.String(), "BOTTLE_CANARY_LISTEN=192.0.2.1:7001"}, "bottle-bundle")
	r.waitLine("not ready: canary exited with code 1")
}
