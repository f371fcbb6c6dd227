//go:build linux

package vnet

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == guestArg {
		guestMain()
		return
	}
	os.Exit(m.Run())
}

// unable skips a test that this host cannot run, or fails it where it has to.
func unable(t testing.TB, format string, args ...any) {
	t.Helper()
	if os.Getenv("BOTTLE_REQUIRE") == "1" {
		t.Fatalf(format, args...)
	}
	t.Skipf(format, args...)
}

// A machine is a guest process with its network served by this one.
type machine struct {
	*Network
	t       testing.TB
	ctl     *os.File
	in      *json.Decoder
	mu      sync.Mutex
	logged  []string
	dialled []string
}

// boot starts a guest, or skips the test with what is missing.
func boot(t testing.TB, cfg Config) *machine {
	t.Helper()
	if cfg.Machine == "" {
		cfg.Machine = "m"
	}
	m := &machine{t: t, ctl: spawn(t)}
	if err := json.NewEncoder(m.ctl).Encode(cfg); err != nil {
		t.Fatal(err)
	}
	files := m.receive()
	d := &dialer{cfg: cfg, inspect: m.inspect}
	n, err := serve(d, files, func(format string, args ...any) {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.logged = append(m.logged, fmt.Sprintf(format, args...))
	})
	if err != nil {
		t.Fatal(err)
	}
	m.Network = n
	m.in = json.NewDecoder(m.ctl)
	t.Cleanup(func() { n.Close() })
	return m
}

// inspect notes a dial, and refuses it if it would leave this machine: a test
// that fails must not be a packet on the wire.
func (m *machine) inspect(network string, to netip.AddrPort) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.dialled = append(m.dialled, network+" "+to.String())
	if where, _ := new(interfaces).locate(to.Addr()); where == elsewhere {
		return fmt.Errorf("%s is off this machine", to)
	}
	return nil
}

// spawnIdle starts a guest without a network.
func spawnIdle(t *testing.T) *machine {
	t.Helper()
	m := &machine{t: t, ctl: spawn(t)}
	if err := json.NewEncoder(m.ctl).Encode(Config{}); err != nil {
		t.Fatal(err)
	}
	closeFiles(m.receive())
	m.in = json.NewDecoder(m.ctl)
	return m
}

// spawn starts the guest process and returns the control socket.
func spawn(t testing.TB) *os.File {
	t.Helper()
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	ours, theirs := os.NewFile(uintptr(pair[0]), "control"), os.NewFile(uintptr(pair[1]), "control")
	defer theirs.Close()
	cmd := exec.Command("/proc/self/exe", guestArg)
	cmd.Stderr = os.Stderr
	cmd.ExtraFiles = []*os.File{theirs}
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNET,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
		Pdeathsig:   syscall.SIGKILL,
	}
	if err := cmd.Start(); err != nil {
		ours.Close()
		if errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.EACCES) || errors.Is(err, syscall.ENOSPC) {
			unable(t, "user and network namespaces are refused here: %v", err)
		}
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ours.Close()
		_ = cmd.Wait()
	})
	return ours
}

// receive takes the descriptors that the guest prepared.
func (m *machine) receive() []*os.File {
	m.t.Helper()
	raw, err := m.ctl.SyscallConn()
	if err != nil {
		m.t.Fatal(err)
	}
	buf, oob := make([]byte, 4096), make([]byte, 256)
	var n, oobn int
	_ = raw.Read(func(fd uintptr) bool {
		n, oobn, _, _, err = unix.Recvmsg(int(fd), buf, oob, unix.MSG_CMSG_CLOEXEC)
		return !errors.Is(err, unix.EAGAIN)
	})
	var o outcome
	if err != nil || json.Unmarshal(buf[:n], &o) != nil {
		m.t.Fatalf("guest said %q: %v", buf[:n], err)
	}
	if strings.Contains(o.Problem, tunPath) {
		unable(m.t, "%s", o.Problem)
	}
	if o.Problem != "" {
		m.t.Fatal(o.Problem)
	}
	msgs, err := unix.ParseSocketControlMessage(oob[:oobn])
	if err != nil || len(msgs) != 1 {
		m.t.Fatalf("descriptors: %v", err)
	}
	fds, err := unix.ParseUnixRights(&msgs[0])
	if err != nil {
		m.t.Fatal(err)
	}
	var files []*os.File
	for _, fd := range fds {
		files = append(files, os.NewFile(uintptr(fd), fmt.Sprint("file ", len(files))))
	}
	return files
}

// do has the guest carry one order out.
func (m *machine) do(o order) outcome {
	m.t.Helper()
	if err := json.NewEncoder(m.ctl).Encode(o); err != nil {
		m.t.Fatal(err)
	}
	var r outcome
	if err := m.in.Decode(&r); err != nil {
		m.t.Fatalf("guest is gone: %v", err)
	}
	return r
}

func (m *machine) log() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return strings.Join(m.logged, "\n")
}

func (m *machine) dials() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return append([]string{}, m.dialled...)
}

// prefixes parses a policy.
func prefixes(texts ...string) []netip.Prefix {
	var list []netip.Prefix
	for _, s := range texts {
		list = append(list, netip.MustParsePrefix(s))
	}
	return list
}

// wantErrno fails unless o failed in step with errno, and quickly.
func wantErrno(t *testing.T, o outcome, step string, errno syscall.Errno) {
	t.Helper()
	if o.Step != step || o.Errno != errno {
		t.Errorf("got %q, want %s: %s", o, step, unix.ErrnoName(errno))
	}
	if o.Elapsed > 100*time.Millisecond {
		t.Errorf("took %v, want less than 100ms", o.Elapsed)
	}
}

func wantData(t testing.TB, o outcome, data string) {
	t.Helper()
	if o.Errno != 0 || o.Problem != "" || o.Data != data {
		t.Errorf("got %q (%d, %s), want %q", o, o.Errno, o.Problem, data)
	}
}
