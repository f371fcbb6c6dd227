//go:build linux

package sim

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func hostShell(t *testing.T, script string) string {
	t.Helper()
	out, err := exec.Command("sh", "-c", script).Output()
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !holds(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("after 10 s still not: %s", what)
		}
	}
}

func TestHostIsInvisible(t *testing.T) {
	h := newHost(t, newest)
	h.boot()
	marker := exec.Command("sleep", "4713")
	if err := marker.Start(); err != nil {
		t.Fatal(err)
	}
	defer marker.Wait()         //nolint:errcheck // killed
	defer marker.Process.Kill() //nolint:errcheck // it may be gone
	file := filepath.Join(h.dir, "host-file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ what, script, never string }{
		{"environment", "env; cat /proc/1/environ; cat /proc/*/environ | tr '\\0' '\\n'", "do-not-leak"},
		{"processes", "cat /proc/[0-9]*/cmdline | tr '\\0' ' '", "sleep 4713"},
		{"files", "find / -xdev -name host-file 2>/dev/null; ls -d " + h.dir + " /work /home/* 2>/dev/null; true", "/"},
		{"root's home", "ls -A /root /home /var/lib /opt /srv | grep -v :", "."},
		{"descriptors", "ls -l /proc/self/fd | grep -v -e pipe: -e /dev/null -e /proc/ -e total; true", "/"},
		{"pid 1's descriptors and program", "cat /proc/1/exe; ls /proc/1/fd; true", "ELF"},
		{"machine directory", "cat /proc/mounts", h.dir},
	} {
		out := h.run("machine", "exec", "--name", "m", "--", "sh", "-c", c.script).stdout
		if strings.Contains(out, c.never) {
			t.Errorf("%s: the guest sees %q in\n%s", c.what, c.never, out)
		}
	}
}

func TestHostIsNotWritable(t *testing.T) {
	h := newHost(t, newest)
	h.boot()
	for _, path := range []string{"/usr/bin/bottle-guest-file", "/usr/local/bin/bottle-guest-file", "/bin/bottle-guest-file2", "/tmp/bottle-guest-file", "/etc/bottle-guest-file", "/bottle-guest-file"} {
		h.guest("echo guest > " + path)
		if _, err := os.Lstat(path); !os.IsNotExist(err) {
			t.Errorf("%s is on the host: %v", path, err)
		}
	}
	for _, script := range []string{
		"echo x > /etc/ssl/x", "echo x > /etc/ld.so.cache", "rm /etc/services", "mount -t tmpfs t /mnt", "mount -o remount,rw /etc/ssl",
		"umount /usr", "umount /etc/ssl", "mknod /tmp/null c 1 3", "echo 1 > /proc/sys/net/ipv4/ip_forward", "echo x > /proc/sys/kernel/hostname",
		"hostname changed", "dmesg", "cat /proc/kcore", "chroot /proc/1/root true", "kill -9 1 && sleep 1 && test ! -d /proc/1",
	} {
		if got := h.run("machine", "exec", "--name", "m", "--", "sh", "-c", script); got.code == 0 {
			t.Errorf("%q succeeded: %+v", script, got)
		}
	}
	if got := h.guest("echo alive"); got != "alive\n" {
		t.Errorf("after all that: %q", got)
	}
}

func TestNoCapabilityOverTheNetwork(t *testing.T) {
	h := newHost(t, newest)
	h.boot()
	for _, script := range []string{
		"ip link set lo down", "ip route add 192.0.2.0/24 dev lo", "ip addr add 192.0.2.9/32 dev lo", "ip rule add pref 1 lookup main",
		"grep -q 'NoNewPrivs:.0' /proc/self/status",
	} {
		if got := h.run("machine", "exec", "--name", "m", "--", "sh", "-c", script); got.code == 0 {
			t.Errorf("%q succeeded: %+v", script, got)
		}
	}
	// CAP_NET_* are bits 10 to 13, CAP_SYS_ADMIN is 21, CAP_MKNOD 27.
	for _, set := range []string{"CapPrm", "CapEff"} {
		if got := h.guest("grep " + set + " /proc/self/status"); strings.TrimSpace(strings.TrimPrefix(got, set+":")) != "00000000a00401fb" {
			t.Errorf("capabilities: %s", got)
		}
	}
	if got := h.guest("cat /sys/class/net/* 2>/dev/null; ls /dev/net 2>/dev/null; cut -d: -f1 /proc/net/dev | tail -n +3"); strings.TrimSpace(got) != "lo" {
		t.Errorf("interfaces: %q", got)
	}
}

func TestDiskSurvivesStopAndStart(t *testing.T) {
	h := newHost(t, newest)
	h.boot()
	paths := []string{"/root/a", "/tmp/a", "/workspace/a", "/usr/bin/a", "/etc/a", "/var/tmp/a", "/new-dir/a"}
	h.guest("mkdir /new-dir; rm -r /srv; for f in " + strings.Join(paths, " ") + "; do echo $f > $f; done; echo x > /run/a; rm /usr/bin/tac")
	h.must("machine", "stop", "--name", "m")
	h.must("machine", "start", "--name", "m")
	if got := h.guest("cat " + strings.Join(paths, " ")); got != strings.Join(paths, "\n")+"\n" {
		t.Errorf("after a restart: %s", got)
	}
	if got := h.guest("ls /run/a /usr/bin/tac 2>/dev/null; true"); got != "" {
		t.Errorf("after a restart there is %s", got)
	}
	h.must("machine", "delete", "-f", "--name", "m")
	h.must("machine", "create", "--name", "m")
	h.must("machine", "start", "--name", "m")
	if got := h.guest("ls " + strings.Join(paths, " ") + " 2>/dev/null; ls /usr/bin/tac"); got != "/usr/bin/tac\n" {
		t.Errorf("a new machine of the same name has %s", got)
	}
}

// A guest that replaces what the next boot mounts on by links to the host must not get the host to follow them.
func TestBootFollowsNoLinkOfTheGuests(t *testing.T) {
	for name, script := range map[string]string{
		"etc": "mv /etc /etc.old && ln -s TARGET /etc", "tmp": "rm -r /tmp && ln -s TARGET /tmp", "srv": "rm -r /srv && ln -s TARGET /srv",
		"cache": "rm -r /var/cache && ln -s TARGET /var/cache", "var": "mv /var /var.old && ln -s TARGET /var",
		"services": "mv /etc /e && mkdir /etc && ln -s TARGET/services /etc/services",
	} {
		t.Run(name, func(t *testing.T) {
			h := newHost(t, newest)
			h.boot()
			target := filepath.Join(h.dir, "target")
			if err := os.Mkdir(target, 0o777); err != nil {
				t.Fatal(err)
			}
			h.run("machine", "exec", "--name", "m", "--", "sh", "-c", strings.ReplaceAll(script, "TARGET", target))
			h.must("machine", "stop", "--name", "m")
			h.run("machine", "start", "--name", "m") // whether it boots is the guest's own affair
			if got := hostShell(t, "ls -A "+target); got != "" {
				t.Errorf("on the host: %s", got)
			}
		})
	}
}
