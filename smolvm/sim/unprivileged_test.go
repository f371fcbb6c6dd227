//go:build linux

package sim

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// ordinaryUser is an id without an entry anywhere.
const ordinaryUser = 1500

// asUser runs a command line as an ordinary user of this host.
func (h *host) asUser(args ...string) result {
	h.t.Helper()
	cmd := h.command(args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: ordinaryUser, Gid: ordinaryUser}}
	return h.result(cmd)
}

// asUserWithout is asUser where the device at path is root's alone.
func (h *host) asUserWithout(path string, args ...string) result {
	h.t.Helper()
	closed := filepath.Join(h.t.TempDir(), "closed")
	if err := os.WriteFile(closed, nil, 0o600); err != nil {
		h.t.Fatal(err)
	}
	const enter = `mount --bind "$1" "$2" && user=$3 && shift 3 && exec setpriv --reuid "$user" --regid "$user" --clear-groups "$@"`
	inner := h.command(args...)
	cmd := exec.Command("unshare", append([]string{"--mount", "sh", "-c", enter, "sh", closed, path, strconv.Itoa(ordinaryUser)}, inner.Args...)...)
	cmd.Env = inner.Env
	return h.result(cmd)
}

func (h *host) result(cmd *exec.Cmd) result {
	h.t.Helper()
	var stdout, stderr strings.Builder
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		h.t.Fatal(err)
	}
	return result{stdout.String(), stderr.String(), cmd.ProcessState.ExitCode()}
}

func newUserHost(t *testing.T) *host {
	t.Helper()
	if os.Geteuid() != 0 {
		skip(t, "every test of this package runs as an ordinary user already; this one needs root to become one")
	}
	dir, err := os.MkdirTemp("", "smolvm-sim-user-") //nolint:usetesting // t.TempDir's parent is root's alone
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chown(dir, ordinaryUser, ordinaryUser); err != nil {
		t.Fatal(err)
	}
	return &host{t: t, dir: dir, env: []string{"HOME=" + dir, "PATH=" + os.Getenv("PATH"), "SMOLVM_SIM_VERSION=" + newest, countVariable()}}
}

func TestOrdinaryUser(t *testing.T) {
	h := newUserHost(t)
	h.asUser("machine", "create", "--name", "m")
	if got := h.asUser("machine", "start", "--name", "m"); strings.Contains(got.stderr, "namespaces are refused") {
		skip(t, got.stderr)
	} else if got.code != 0 {
		t.Fatalf("%+v", got)
	}
	defer func() {
		if got := h.asUser("machine", "delete", "-f", "--name", "m"); got.code != 0 {
			t.Errorf("delete: %+v", got)
		}
		if _, err := os.Lstat(h.vmDir("m")); !os.IsNotExist(err) {
			t.Errorf("the machine's directory: %v", err)
		}
	}()
	for _, c := range []struct{ script, want string }{
		{"id -u", "0\n"},
		{"touch /usr/local/bin/x /x && mkdir -m 0 /usr/local/closed && echo done", "done\n"},
		{"grep -c . /proc/net/dev; ip link set lo down || echo refused", "3\nrefused\n"},
		{"echo 1024 > /proc/sys/net/ipv4/ip_unprivileged_port_start || echo refused", "refused\n"},
		{"exec 2>&1; ls /dev/stderr", "/dev/stderr\n"},
		{"echo x > /dev/stdout", "x\n"},
	} {
		if got := h.asUser("machine", "exec", "--name", "m", "--", "sh", "-c", c.script); got.stdout != c.want {
			t.Errorf("%q: got %+v, want %q", c.script, got, c.want)
		}
	}
}

// Where the device cannot be opened, one line says which and how to mend it.
func TestUnopenableDeviceIsNamed(t *testing.T) {
	h := newUserHost(t)
	h.asUser("machine", "create", "--name", "m", "--net")
	const tun = "/dev/net/tun"
	if _, err := os.Stat(tun); err != nil {
		skip(t, err.Error())
	}
	got := h.asUserWithout(tun, "machine", "start", "--name", "m")
	if strings.Contains(got.stderr, "namespaces are refused") {
		skip(t, got.stderr)
	}
	last := strings.TrimSpace(got.stderr[strings.Index(got.stderr, "\n")+1:])
	if got.code != 1 || !strings.HasPrefix(last, "Error: agent operation failed: start machine: ") || !strings.Contains(last, "/dev/net/tun") || strings.Contains(last, "\n") {
		t.Errorf("got %+v", got)
	}
	h.asUser("machine", "delete", "-f", "--name", "m")
}

// A machine below a home that only root may enter, as root's own is.
func TestPrivateHome(t *testing.T) {
	h := newHost(t, newest)
	if err := os.Chmod(h.dir, 0o700); err != nil {
		t.Fatal(err)
	}
	h.boot()
	if got := h.guest("echo ok"); got != "ok\n" {
		t.Errorf("got %q", got)
	}
}

// Descriptors of whoever runs a command reach neither the supervisor nor the guest.
func TestInheritedDescriptors(t *testing.T) {
	requireNamespaces(t)
	h := newHost(t, newest)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	h.must("machine", "create", "--name", "m")
	for _, args := range [][]string{{"start", "--name", "m"}, {"exec", "--name", "m", "--", "sh", "-c", "setsid sleep 4716 </dev/null >/dev/null 2>&1 &"}} {
		cmd := exec.Command(program, append([]string{"machine"}, args...)...)
		cmd.Env, cmd.ExtraFiles = h.env, []*os.File{w, w, w}
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	w.Close()
	done := make(chan struct{})
	go func() { _, _ = r.Read(make([]byte, 1)); close(done) }()
	eventually(t, "nobody holds the pipe any more", func() bool {
		select {
		case <-done:
			return true
		default:
			return false
		}
	})
}

// An ordinary user's image machines and packs: files and processes are the one user's.
func TestImageOfAnOrdinaryUser(t *testing.T) {
	h := newUserHost(t)
	image := h.saved(app(t))
	must := func(args ...string) string {
		t.Helper()
		got := h.asUser(args...)
		if strings.Contains(got.stderr, "namespaces are refused") {
			skip(t, got.stderr)
		}
		if got.code != 0 {
			t.Fatalf("%v: %+v", args, got)
		}
		return got.stdout
	}
	ref := pushed(t, app(t))
	must("pack", "create", "--image", ref, "-o", h.dir+"/app")
	for name, flags := range map[string][]string{"a": {"--image", image}, "p": {"--from", h.dir + "/app" + packSuffix}} {
		must(append([]string{"machine", "create", "--name", name, "-v", h.dir + ":/host"}, flags...)...)
		must("machine", "start", "--name", name)
		defer h.asUser("machine", "delete", "-f", "--name", name)
		got := must("machine", "exec", "--name", name, "--", "sh", "-c", "id;ls /opt/whole;ls /srv;cat /srv/lower;write /srv/lower x;write /host/"+name+" x")
		if !strings.HasPrefix(got, "0 0 [") || !strings.HasSuffix(got, "] container\nb\nabsolute\napp\nlower\nbelow") {
			t.Errorf("%s: got %q", name, got)
		}
	}
}
