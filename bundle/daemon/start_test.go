package daemon

import (
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"bottle.internal/internal/echo"
)

// startCommand runs `bottle-bundle start` with these settings and returns its output and the log it left. What it left
// running is killed when the test ends.
func startCommand(t *testing.T, settings ...string) (out, log string, err error) {
	t.Helper()
	dir := t.TempDir()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	program, file, logFile := filepath.Join(dir, "bottle-bundle"), filepath.Join(dir, "settings"), filepath.Join(dir, "log")
	if err := os.Symlink(exe, program); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(strings.Join(append(settings, noSleep), "\n")), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { endThoseIn(t, dir) })
	b, err := exec.Command(program, "start", "--settings", file, "--log", logFile).CombinedOutput()
	text, _ := os.ReadFile(logFile)
	return string(b), string(text), err
}

// endThoseIn ends the supervisor that was started as dir/bottle-bundle. Its parent is gone, so the process table has to tell.
func endThoseIn(t *testing.T, dir string) {
	t.Helper()
	files, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, f := range files {
		b, _ := os.ReadFile(f)
		if name, _, _ := strings.Cut(string(b), "\x00"); name != filepath.Join(dir, "bottle-bundle") {
			continue
		}
		var pid int
		for _, c := range filepath.Base(filepath.Dir(f)) {
			pid = pid*10 + int(c-'0')
		}
		_ = syscall.Kill(pid, syscall.SIGTERM)
	}
}

func TestStartLeavesASupervisor(t *testing.T) {
	if _, err := os.Stat("/proc/self/cmdline"); err != nil {
		t.Skipf("needs Linux's /proc to end what it starts: %v", err)
	}
	proxy, canary, secret := freeAddr(t), freeAddr(t), echo.NewSecret()
	out, log, err := startCommand(t, "BOTTLE_BUNDLE_DAEMONS=proxy", "BOTTLE_ECHO_SECRET="+secret.String(),
		"BOTTLE_PROXY_LISTEN="+proxy.String(), "BOTTLE_CANARY_LISTEN="+canary.String())
	if err != nil || out != "ready: proxy\n" {
		t.Fatalf("%q, %v\n%s", out, err, log)
	}
	for name, at := range map[string]netip.AddrPort{"proxy": proxy, "canary": canary} {
		n := echo.NewNonce()
		if reply, err := echo.Ask(t.Context(), at, n); err != nil || reply.Name != name || !secret.Verify(n, reply) {
			t.Errorf("%s: %+v, %v", at, reply, err)
		}
	}
}

func TestStartSaysWhatDidNotComeUp(t *testing.T) {
	if _, err := os.Stat("/proc/self/cmdline"); err != nil {
		t.Skipf("needs Linux's /proc to end what it starts: %v", err)
	}
	for name, tc := range map[string]struct {
		settings []string
		says     string
	}{
		"one of two has nowhere to listen": {
			[]string{"BOTTLE_BUNDLE_DAEMONS=egress", "BOTTLE_EGRESS_LISTEN=198.51.100.1:9099", "BOTTLE_CANARY_LISTEN=" + freeAddr(t).String()},
			"not ready: egress",
		},
		"the only one has":     {[]string{"BOTTLE_BUNDLE_DAEMONS=egress", "BOTTLE_EGRESS_LISTEN=198.51.100.1:9099"}, "cannot assign"},
		"settings are refused": {[]string{"BOTTLE_CANARY_LISTEN=9"}, "BOTTLE_CANARY_LISTEN"},
	} {
		out, _, err := startCommand(t, tc.settings...)
		if err == nil || !strings.Contains(out, tc.says) {
			t.Errorf("%s: %q, %v", name, out, err)
		}
	}
}
