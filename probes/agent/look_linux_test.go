package agent

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"bottle.internal/internal/echo"
)

// looked is the result of a look, whose form is checked as the host would.
func looked(t *testing.T, m Method, path string) Result {
	t.Helper()
	a := Attempt{ID: "look", Network: Look, Method: m, Path: path, Nonce: echo.NewNonce(), BudgetMS: 5000}
	if err := a.validate(nil); err != nil {
		t.Fatal(err)
	}
	r := dial(a, time.Now())
	if fault := r.fault(a); fault != "" {
		t.Errorf("%s: %+v", fault, r)
	}
	return r
}

// told are the facts in a reply.
func (r Result) told() []string {
	return strings.Split(strings.TrimSuffix(string(r.Reply), "\n"), "\n")
}

// sees checks that a look found each of the facts.
func (r Result) sees(t *testing.T, all ...string) {
	t.Helper()
	if r.Observation != Readable {
		t.Errorf("%q, errno %q", r.Observation, r.Errno)
	}
	for _, fact := range all {
		if !slices.Contains(r.told(), fact) {
			t.Errorf("%q is not in\n%s", fact, r.Reply)
		}
	}
}

func write(t *testing.T, name, text string) string {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// unprivileged runs f on a thread that lacks capabilities, all if none is named, and ends with it.
func unprivileged(t *testing.T, f func(), caps ...int) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread()
		head := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
		var data [2]unix.CapUserData
		if err := unix.Capget(&head, &data[0]); err != nil {
			t.Error(err)
			return
		}
		if len(caps) == 0 {
			data = [2]unix.CapUserData{}
		}
		for _, c := range caps {
			data[c/32].Effective &^= 1 << (c % 32)
			data[c/32].Permitted &^= 1 << (c % 32)
		}
		if err := unix.Capset(&head, &data[0]); err != nil {
			t.Error(err)
			return
		}
		f()
	}()
	<-done
}

func TestLookAtFiles(t *testing.T) {
	dir := t.TempDir()
	file := write(t, filepath.Join(dir, "file"), "content\n")
	write(t, filepath.Join(dir, "long"), strings.Repeat("x", MaxReply+1))
	if err := os.Symlink("file", filepath.Join(dir, "to")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("loop", filepath.Join(dir, "loop")); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mkfifo(filepath.Join(dir, "fifo"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		method Method
		path   string
		reply  string
		want   Observation
	}{
		{Read, file, "content\n", Readable},
		{Read, dir + "/to", "content\n", Readable},
		{Read, dir + "/long", strings.Repeat("x", MaxReply), Readable},
		{Read, dir + "/none", "", Absent},
		{Read, file + "/none", "", Absent},
		{Read, dir + "/loop", "", Denied},
		{Read, dir + "/fifo", "", Absent}, // nobody writes, and that is not waited for
		{Read, "/dev/zero", strings.Repeat("\x00", MaxReply), Readable},
		{FollowLink, file, "content\n", Readable},
		{FollowLink, dir + "/none", "", Absent},
		{HardLink, file, "content\n", Readable},
		{HardLink, dir + "/none", "", Absent},
		{HardLink, dir, "", Denied},
		{HardLink, "/proc/version", "", Denied}, // of a file system that gives no second name
		{List, dir, "fifo\nfile\nlong\nloop -> loop\nto -> file\n", Readable},
		{List, t.TempDir(), "", Absent},
		{List, file, "", Absent},
		{Write, dir + "/none", "", Absent},
		{Write, dir + "/fifo", "", Unsupported},
		{Write, "/dev/null", "", Unsupported},
		{Create, dir + "/none/x", "", Absent},
		{Create, file, "", ProbeError}, // it is there, and stays
	} {
		r := looked(t, c.method, c.path)
		if r.Observation != c.want || string(r.Reply) != c.reply {
			t.Errorf("%s %s: %q, errno %q, %.80q", c.method, c.path, r.Observation, r.Errno, r.Reply)
		}
	}
	if b, err := os.ReadFile(file); err != nil || string(b) != "content\n" {
		t.Errorf("the file is %q: %v", b, err)
	}
}

// A file that is written to has the nonce at its end; one that is created is gone after; and nothing is left anywhere.
func TestLookWrites(t *testing.T) {
	dir := t.TempDir()
	file := write(t, filepath.Join(dir, "file"), "content\n")
	r := looked(t, Write, file)
	if b, err := os.ReadFile(file); err != nil || string(b) != "content\n"+string(r.Nonce)+"\n" || r.Observation != Writable {
		t.Errorf("%q: %q, %v", r.Observation, b, err)
	}
	if r := looked(t, Create, filepath.Join(dir, "new")); r.Observation != Writable {
		t.Errorf("%q, errno %q", r.Observation, r.Errno)
	}
	if names, err := os.ReadDir(dir); err != nil || len(names) != 1 {
		t.Errorf("%v, %v", names, err)
	}
	for _, r := range []Result{looked(t, FollowLink, file), looked(t, Devices, "")} {
		for _, place := range scratch {
			if left, err := filepath.Glob(filepath.Join(place, ".bottle-"+string(r.Nonce))); err != nil || len(left) > 0 {
				t.Errorf("left: %v, %v", left, err)
			}
		}
	}
}

func TestLookAtFilesDenied(t *testing.T) {
	dir := t.TempDir()
	file := write(t, filepath.Join(dir, "file"), "content\n")
	if err := os.Chmod(file, 0); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o500); err != nil {
		t.Fatal(err)
	}
	unprivileged(t, func() {
		for m, path := range map[Method]string{Read: file, Write: file, FollowLink: file, Create: dir + "/new"} {
			if r := looked(t, m, path); r.Observation != Denied || r.Errno != "EACCES" {
				t.Errorf("%s: %q, errno %q", m, r.Observation, r.Errno)
			}
		}
	})
	for m, path := range map[Method]string{Write: "/proc/version", Create: "/sys/kernel/bottle"} { // a file system that lets nobody, root neither
		if r := looked(t, m, path); r.Observation == Writable || r.Observation == ProbeError && r.Errno != "EIO" {
			t.Errorf("%s: %q, errno %q", m, r.Observation, r.Errno)
		}
	}
}

// A link that cannot be planted says nothing of its target.
func TestLookWithoutScratch(t *testing.T) {
	defer func(all []string) { scratch = all }(scratch)
	scratch = []string{"/proc", "/none"}
	if r := looked(t, FollowLink, "/proc/version"); r.Observation != ProbeError || r.Errno != "" {
		t.Errorf("%q, errno %q", r.Observation, r.Errno)
	}
	for _, line := range looked(t, Devices, "").told() {
		if strings.HasSuffix(line, "opened") {
			t.Error(line)
		}
	}
}

func TestLookSearches(t *testing.T) {
	begin := "bottle-test-" + string(echo.NewNonce())[:8]
	cmd := exec.CommandContext(t.Context(), "sleep", "60")
	cmd.Args[0] = begin + "-in-arguments and more"
	cmd.Env = []string{"A=b", "SECRET=x" + begin + "-in-environment", `REQUEST={"path":"` + begin + `","x":1}`}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	proc := "/proc/" + strconv.Itoa(cmd.Process.Pid)
	want := []string{proc + "/cmdline " + begin + "-in-arguments", proc + "/environ " + begin + "-in-environment"}
	r := looked(t, Search, begin)
	r.sees(t, want...)
	if !slices.Equal(r.told(), want) {
		t.Errorf("%s", r.Reply)
	}
	if r := looked(t, Search, begin+"-nowhere"); r.Observation != Absent {
		t.Errorf("%q: %s", r.Observation, r.Reply)
	}
	if r := looked(t, Search, ""); r.Observation != Unsupported {
		t.Errorf("%q", r.Observation)
	}
}

func TestLookListsSockets(t *testing.T) {
	dir, err := os.MkdirTemp("/tmp", "bottle-test-") //nolint:usetesting // t.TempDir() is too deep
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	here, name := filepath.Join(dir, "a b.sock"), "@bottle-test-"+string(echo.NewNonce())
	for _, at := range []string{here, name} {
		l, err := net.Listen("unix", at)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = l.Close() })
	}
	dead := filepath.Join(dir, "dead.sock") // in the directory, and no more in the kernel
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: dead})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	_ = l.Close()
	looked(t, Sockets, "").sees(t, here, name, dead)
}

func TestBoundNames(t *testing.T) {
	const table = `Num       RefCount Protocol Flags    Type St Inode Path
0000000000000000: 00000002 00000000 00010000 0001 01 22 /run/a b
0000000000000000: 00000003 00000000 00000000 0001 03 23
0000000000000000: 00000002 00000000 00010000 0001 01 24 @x y
`
	if got := boundNames(table); !slices.Equal(got, []string{"/run/a b", "@x y"}) {
		t.Errorf("%q", got)
	}
}

func TestLookTriesFamilies(t *testing.T) {
	r := looked(t, Families, "")
	r.sees(t, "AF_INET SOCK_STREAM", "AF_INET SOCK_DGRAM", "AF_INET SOCK_RAW", "AF_UNIX SOCK_SEQPACKET", "AF_NETLINK SOCK_RAW")
	for _, line := range r.told() {
		if f := strings.Fields(line); len(f) != 2 {
			t.Error(line)
		}
	}
	unprivileged(t, func() {
		r := looked(t, Families, "")
		r.sees(t, "AF_INET SOCK_STREAM")
		if slices.Contains(r.told(), "AF_INET SOCK_RAW") {
			t.Error("a raw socket without a privilege")
		}
	})
}

func TestLookListsMounts(t *testing.T) {
	b, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	if r := looked(t, Mounts, ""); !Cut(Mounts, r.Reply) && string(r.Reply) != string(b) {
		t.Errorf("%s\nwant\n%s", r.Reply, b)
	}
}
