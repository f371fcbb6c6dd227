package bundle

import (
	"bytes"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"bottle.internal/internal/echo"
)

// A daemon that dies takes no other with it, and its silence is not taken for a witness.
func TestOneDaemonDies(t *testing.T) {
	t.Parallel()
	c := runBundle(t, WithDaemons("proxy", "egress"))
	if _, err := c.Sightings(t.Context()); err != nil {
		t.Fatal(err)
	}
	killDaemon(t, c, "egress")
	n := echo.NewNonce()
	for deadline := time.Now().Add(5 * time.Second); ; {
		if _, err := c.Echo(t.Context(), netip.MustParseAddrPort("127.0.0.1:9099"), n); err != nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("egress answers although it was killed")
		}
	}
	if _, err := c.Echo(t.Context(), netip.AddrPortFrom(c.Addr(), 8888), n); err != nil {
		t.Errorf("proxy went with it: %v", err)
	}
	if ss, err := c.Sightings(t.Context()); err == nil || len(ss) == 0 {
		t.Errorf("%d sightings, error %v; want both", len(ss), err)
	}
	if log, err := c.log(t.Context()); err != nil || !strings.Contains(string(log), "[egress] killed by killed; 1 of 2 left") {
		t.Errorf("PID 1 does not say so: %v\n%s", err, log)
	}
}

// killDaemon kills a daemon of c from the host's side, which takes a shared kernel and root.
func killDaemon(t *testing.T, c *Container, name string) {
	t.Helper()
	in, err := c.Inspect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	init := in.State.Pid
	kids, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", init, init))
	tasks, _ := os.ReadDir(fmt.Sprintf("/proc/%d/task", init))
	for _, task := range tasks {
		b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%s/children", init, task.Name()))
		kids = append(append(kids, ' '), b...)
	}
	if err != nil || os.Getuid() != 0 {
		t.Skipf("killing a process in a container from outside needs root on the engine's own machine (uid %d, %v)", os.Getuid(), err)
	}
	for pid := range strings.FieldsSeq(string(kids)) {
		cmdline, _ := os.ReadFile("/proc/" + pid + "/cmdline")
		if bytes.HasSuffix(bytes.TrimRight(cmdline, "\x00"), []byte("daemon\x00"+name)) {
			var n int
			_, _ = fmt.Sscan(pid, &n)
			if err := syscall.Kill(n, syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
			return
		}
	}
	t.Fatalf("no daemon %s among PID 1's children %q", name, kids)
}
