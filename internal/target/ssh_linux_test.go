package target

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"testing"
	"time"
)

// privsep is where sshd wants an empty directory of root's.
const privsep = "/run/sshd"

// overSSH starts an sshd of the test's own on the loopback, with keys and settings of its own, and returns the prefix that gets in. Like another
// host it does not see what this one has lent to its sandboxes.
func overSSH(t *testing.T) []string {
	t.Helper()
	sshd := "/usr/sbin/sshd"
	if _, err := os.Stat(sshd); err != nil || os.Geteuid() != 0 {
		t.Skipf("root and openssh-server are needed: %v", err)
	}
	dir := t.TempDir()
	host, own := filepath.Join(dir, "host"), filepath.Join(dir, "own")
	for _, key := range []string{host, own} {
		if out, err := exec.CommandContext(t.Context(), "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	if err := os.Mkdir(privsep, 0o755); err == nil {
		t.Cleanup(func() { _ = os.Remove(privsep) })
	}
	lent := t.TempDir()
	t.Setenv("TMPDIR", lent)
	port := startSSHD(t, []string{"unshare", "--mount", "sh", "-c", `mount -t tmpfs none "$0" && exec "$@"`, lent, sshd}, dir, host, own+".pub")
	public, err := os.ReadFile(host + ".pub")
	if err != nil {
		t.Fatal(err)
	}
	known := filepath.Join(dir, "known")
	if err := os.WriteFile(known, fmt.Appendf(nil, "[127.0.0.1]:%d %s", port, public), 0o600); err != nil {
		t.Fatal(err)
	}
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	return []string{"ssh", "-F", "none", "-o", "BatchMode=yes", "-o", "UserKnownHostsFile=" + known, "-i", own, "-o", "IdentitiesOnly=yes", "-p", fmt.Sprint(port), me.Username + "@127.0.0.1"}
}

// startSSHD starts sshd in the foreground, waits until it listens and returns its port. It ends with the test.
func startSSHD(t *testing.T, sshd []string, dir, host, authorized string) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	_ = l.Close()
	config := filepath.Join(dir, "config")
	text := fmt.Sprintf("ListenAddress 127.0.0.1:%d\nHostKey %s\nAuthorizedKeysFile %s\nStrictModes no\nUsePAM no\nPasswordAuthentication no\nPermitRootLogin prohibit-password\nPidFile none\nMaxStartups 100\n", port, host, authorized)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	cmd := exec.Command(sshd[0], append(sshd[1:], "-D", "-e", "-f", config)...)
	cmd.Stderr = &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("sshd: %s", &log)
		}
	})
	for end := time.Now().Add(5 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		conn, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err == nil {
			_ = conn.Close()
			return port
		}
		if time.Now().After(end) {
			t.Fatalf("sshd does not listen: %v", err)
		}
	}
}
