package probes

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path"
	"strings"
	"testing"
	"time"

	"bottle.internal/internal/echo"
	"bottle.internal/probes/agent"
)

// localFamilies are those whose rows need no network path.
var localFamilies = []string{"net.unix", "net.vsock", "net.af", "net.raw", "net.inbound", "fs", "env", "cred", "kernel", "priv", "dev", "res", "proc"}

// localRows are the rows of those families.
func localRows() []Probe {
	var all []Probe
	for _, p := range All() {
		if matches(p.Family, localFamilies...) && p.ID != "net.raw.packet" || p.ID == "net.tcp.inherited-fds" {
			all = append(all, p)
		}
	}
	return all
}

func answered(text string) agent.Result {
	return agent.Result{Stage: agent.StageDone, Reply: []byte(text), ElapsedUS: 100}
}

func failedWith(s agent.Stage, errno string) agent.Result {
	return agent.Result{Stage: s, Errno: errno, ElapsedUS: 100}
}

// soundLooks are what a container without a hole in it shows of itself.
var soundLooks = map[agent.Method]string{
	agent.Families:   "AF_INET SOCK_STREAM\nAF_INET6 SOCK_DGRAM\nAF_UNIX SOCK_STREAM\n",
	agent.Sockets:    "/run/own.sock\n@own\n",
	agent.Mounts:     soundMounts,
	agent.Privileges: "uid 0\ngid 0\ncapeff 00000000a80425fb\nno_new_privs 1\nseccomp 2\n",
	agent.Devices:    "c 1:3 /dev/null\nc 1:5 /dev/zero\nmknod b 8:0 EPERM\nmknod c 1:3 opened\n",
	agent.Processes:  "1 init /\n7 bottle-agent /\n",
	agent.Limits:     "memory.max 268435456\npids.max 512\ncpu.max 50000 100000\nmem_total 1073741824\ncpus 1\ndisk_total 4096\n",
}

const soundMounts = `68 92 0:57 / /proc rw - proc none rw
80 92 0:64 / /dev rw,nosuid - tmpfs none rw,size=64k
85 80 0:6 /full /dev/full rw,relatime - devtmpfs devtmpfs rw
92 199 0:44 / / rw,nosuid,nodev,relatime - overlay overlay rw
95 92 254:0 /var/lib/docker/containers/x/hosts /etc/hosts rw - ext4 /dev/vda rw
103 68 0:57 /sys /proc/sys ro,nosuid - proc none rw
`

// confinedGuest is a container with nothing of the host's but its kernel's kind.
func confinedGuest(a agent.Attempt) agent.Result {
	text, listed := soundLooks[a.Method]
	switch {
	case a.Network == agent.Unix:
		return failedWith(agent.StageConnect, "ENOENT")
	case a.Network == agent.VSOCK:
		return failedWith(agent.StageConnect, "ETIMEDOUT")
	case a.Network == agent.Serve:
		return agent.Result{Stage: agent.StageRead, Reply: []byte("self\n"), ElapsedUS: 100}
	case listed:
		return answered(text)
	case a.Path == bootIDPath:
		return answered("11111111-2222-3333-4444-555555555555\n")
	case a.Path == "/proc/sys/kernel/hostname":
		return answered("guest\n")
	case a.Method == agent.SysCall:
		return failedWith(agent.StageDone, "EPERM")
	case a.Method == agent.Search, a.Method == agent.FDs:
		return agent.Result{Stage: agent.StageDone, ElapsedUS: 100}
	case a.Method == agent.Write:
		return failedWith(agent.StageDone, "EROFS")
	}
	return failedWith(agent.StageDone, "ENOENT")
}

// holes are, by row, a guest that has what it must not have. What is not asked of it, the sound guest answers.
var holes = map[string]guest{
	"net.unix.host-path":        dialUnix,
	"net.unix.shared-mount":     dialUnix,
	"net.unix.abstract":         dialUnix,
	"net.unix.inventory":        saying("/var/run/docker.sock"),
	"net.vsock.host.undeclared": saying("22\n"),
	"net.vsock.host.declared":   saying("6001\n"),
	"net.vsock.control.reentry": saying("\x00\x00\x00\x02{}"),
	"net.vsock.peer":            saying("6000\n"),
	"net.vsock.local":           saying("6000\n"),
	"net.vsock.hypervisor":      saying("1\n"),
	"net.af.census":             saying("AF_INET SOCK_STREAM\nAF_VSOCK SOCK_STREAM\n"),
	"net.raw.tun":               saying("allowed"),
	"net.inbound.unpublished":   listenOnHost,
	"net.inbound.loopback-leak": listenOnHost,
	"net.inbound.published":     listenOnHost,
	"net.inbound.ephemeral":     listenOnHost,
	"net.tcp.inherited-fds":     saying("3 socket:[4711]\n"),
	"fs.host-canary.read":       readHost,
	"fs.symlink.escape":         readHost,
	"fs.mounts.exact":           saying(soundMounts + "104 92 254:0 /home /srv rw - ext4 /dev/vda rw\n"),
	"fs.ro.write":               writeHost,
	"fs.device-nodes":           saying("c 1:3 /dev/null\nmknod b 8:0 opened\n"),
	"env.decoy":                 saying("/proc/1/environ " + planted + "\n"),
	"cred.files.decoy":          readHost,
	"cred.agent":                saying(string([]byte{0, 0, 0, 9, agentIdentities, 0, 0, 0, 2})),
	"cred.host-identity":        readHost,
	"kernel.distinct":           readHost,
	"kernel.attack-surface":     saying("allowed"),
	"priv.identity":             saying("uid 0\ncapeff 000001ffffffffff\n"),
	"dev.inventory":             saying("c 1:3 /dev/null\nc 10:232 /dev/kvm\n"),
	"proc.host-visible":         saying(fmt.Sprintf("1 init /\n%d %s ?\n", os.Getpid(), hostFile("/proc/self/comm"))),
	"res.memory":                saying("memory.max max\nmem_total 999999999999999\n"),
	"res.cpu":                   saying("cpu.max max 100000\ncpus 9999\n"),
	"res.pids":                  saying("pids.max max\n"),
	"res.disk":                  saying(fmt.Sprintf("disk_total %d\n", sizeOfHost().disk)),
}

const planted = DecoyPrefix + "0123456789abcdef0123456789abcdef"

// saying answers every look and dial with text.
func saying(text string) guest { return func(agent.Attempt) agent.Result { return answered(text) } }

// readHost has the host's files, as if they were its own.
func readHost(a agent.Attempt) agent.Result {
	b, err := os.ReadFile(a.Path)
	if err != nil {
		return failedWith(agent.StageDone, "ENOENT")
	}
	return answered(string(b))
}

// writeHost writes to the host's files, below the mount that the test declares.
func writeHost(a agent.Attempt) agent.Result {
	f, err := os.OpenFile(strings.TrimPrefix(a.Path, "/shared"), os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return failedWith(agent.StageDone, "ENOENT")
	}
	defer func() { _ = f.Close() }()
	_, _ = fmt.Fprintln(f, a.Nonce)
	return agent.Result{Stage: agent.StageDone, ElapsedUS: 100}
}

// dialUnix has the host's sockets.
func dialUnix(a agent.Attempt) agent.Result {
	conn, err := net.DialTimeout("unix", strings.TrimPrefix(a.Path, "/shared"), a.Budget())
	if err != nil {
		return failedWith(agent.StageConnect, "ENOENT")
	}
	defer func() { _ = conn.Close() }()
	_, _ = conn.Write(echo.Request(a.Nonce))
	reply, _ := io.ReadAll(io.LimitReader(conn, echo.MaxReply))
	return agent.Result{Stage: agent.StageDone, Reply: reply, ElapsedUS: 100}
}

// listenOnHost serves where the host can come in.
func listenOnHost(a agent.Attempt) agent.Result {
	l, err := net.Listen("tcp", fmt.Sprintf(":%d", a.Addr.Port()))
	if err != nil {
		return failedWith(agent.StageSocket, "EADDRINUSE")
	}
	defer func() { _ = l.Close() }()
	_ = l.(*net.TCPListener).SetDeadline(time.Now().Add(a.Budget()))
	for {
		conn, err := l.Accept()
		if err != nil {
			return agent.Result{Stage: agent.StageRead, Reply: []byte("self\n"), ElapsedUS: 100}
		}
		readMessage(conn, func(_ string, n echo.Nonce) { _, _ = fmt.Fprintln(conn, n) })
		_ = conn.Close()
	}
}

// localSite is a site where every local row means something, with guest g in it.
func localSite(t *testing.T, g guest) Site {
	t.Helper()
	s := site(t, TSI)
	dir, err := os.MkdirTemp("/tmp", "bottle-test-") //nolint:usetesting // t.TempDir() is too long for a socket's address
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	home := path.Join(dir, "home")
	if err := os.MkdirAll(path.Join(home, ".ssh"), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("HOME", home)
	s.Planted = []string{planted}
	port, err := registered.freePort()
	if err != nil {
		t.Fatal(err)
	}
	s.Declared.Published = []Published{{Host: netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), port), Guest: port}}
	s.Declared.Mounts = []Mount{{Guest: "/shared" + dir, Host: dir, ReadOnly: true}}
	s.Run = walled(s, g).run(nil)
	return s
}

// runLocal runs one row and returns its finding.
func runLocal(t *testing.T, s Site, id string) Finding {
	t.Helper()
	o := quick
	o.Serving = 100 * time.Millisecond
	rep, err := Run(t.Context(), s, o, id)
	if err != nil {
		t.Fatal(err)
	}
	return finding(t, rep, id)
}

func TestLocalRowsHold(t *testing.T) {
	for _, p := range localRows() {
		if f := runLocal(t, localSite(t, confinedGuest), p.ID); f.Verdict != Contained && p.ID != "net.inbound.sidecar" {
			t.Errorf("%s", f)
		}
	}
}

func TestLocalRowsLeak(t *testing.T) {
	for _, p := range localRows() {
		hole, ok := holes[p.ID]
		if p.ID == "net.inbound.sidecar" {
			continue // TestSidecar
		}
		if !ok {
			t.Errorf("%s: no guest here makes it leak", p.ID)
			continue
		}
		if f := runLocal(t, localSite(t, hole), p.ID); f.Verdict != Leak {
			t.Errorf("%s", f)
		}
	}
}

// A prober that sees nothing anywhere, or whose answers are not what was asked for, shows nothing.
func TestLocalRowsInconclusive(t *testing.T) {
	blind := func(a agent.Attempt) agent.Result {
		if a.Network == agent.Serve {
			return agent.Result{Stage: agent.StageRead, ElapsedUS: 100} // not even the guest itself came in
		}
		return failedWith(agent.StageDone, "ENOENT")
	}
	for _, p := range localRows() {
		s := localSite(t, blind)
		s.Run = walled(s, blind).run(func(r *agent.Response) {
			for i := range r.Results {
				if bytes.Equal(r.Results[i].Reply, []byte("Linux")) {
					r.Results[i].Reply, r.Results[i].Errno, r.Results[i].Observation = nil, "ENOENT", Absent
				}
			}
		})
		if f := runLocal(t, s, p.ID); f.Verdict != Inconclusive {
			t.Errorf("%s", f)
		}
	}
}

// An answer without what any guest has is no answer, however clean it looks.
func TestAnswersLack(t *testing.T) {
	for _, id := range []string{"net.af.census", "fs.mounts.exact", "fs.device-nodes", "kernel.distinct", "priv.identity", "dev.inventory", "proc.host-visible", "res.memory", "res.cpu", "res.disk"} {
		for name, g := range map[string]guest{
			"nothing": func(agent.Attempt) agent.Result { return agent.Result{Stage: agent.StageDone} },
			"a word":  saying("clean"),
			"refusal": func(agent.Attempt) agent.Result { return failedWith(agent.StageDone, "EACCES") },
			"flood":   saying(strings.Repeat("x\n", agent.MaxReply/2)),
		} {
			if f := runLocal(t, localSite(t, g), id); f.Verdict != Inconclusive {
				t.Errorf("%s: %s", name, f)
			}
		}
	}
}

// What a model cannot show it does not show.
func TestLocalRowsOnTheSimulator(t *testing.T) {
	for _, p := range localRows() {
		s := localSite(t, confinedGuest)
		s.Simulated, s.Declared.Boundary = true, VM
		rep, err := Run(t.Context(), s, Options{Budget: 500 * time.Millisecond, Grace: time.Millisecond, Serving: 50 * time.Millisecond}, p.ID, allowedID)
		if err != nil {
			t.Fatal(err)
		}
		want := Contained
		if matches(p.ID, "net.vsock.*", "kernel.*", "dev.*", "res.*") {
			want = NotApplicable
		}
		if f := finding(t, rep, p.ID); f.Verdict != want || f.Reason == "" {
			t.Errorf("want %s: %s", want, f)
		}
	}
}

// A VM's own kernel is its own: what it may do there is no leak, and what comes from the host still is.
func TestLocalRowsOfAVM(t *testing.T) {
	for id, want := range map[string]Verdict{
		"net.raw.tun": NotApplicable, "priv.identity": NotApplicable, "kernel.attack-surface": NotApplicable, "fs.device-nodes": NotApplicable,
		"res.pids": NotApplicable, "res.disk": NotApplicable, "kernel.distinct": Leak, "dev.inventory": Leak, "net.vsock.host.declared": Leak, "net.af.census": Contained,
	} {
		s := localSite(t, holes[id])
		s.Declared.Boundary = VM
		rep, err := Run(t.Context(), s, quick, id, allowedID)
		if err != nil {
			t.Fatal(err)
		}
		if f := finding(t, rep, id); f.Verdict != want {
			t.Errorf("want %s: %s", want, f)
		}
	}
}

func TestStrayMounts(t *testing.T) {
	vm, box, declared := Site{Declared: Declared{Boundary: VM}}, Site{}, Site{Declared: Declared{Mounts: []Mount{{Guest: "/etc/*"}, {Guest: "/usr"}}}}
	for _, c := range []struct {
		site  Site
		line  string
		stray bool
	}{
		{box, "1 2 254:0 / / rw - ext4 /dev/vda rw", false},
		{box, "1 2 254:0 / /mnt ro - ext4 /dev/vda rw", true},
		{box, "1 2 0:60 / /usr rw - overlay none rw", true},
		{declared, "1 2 0:60 / /usr rw - overlay none rw", false},
		{declared, "1 2 254:0 /etc/ssl /etc/ssl ro - ext4 /dev/vda rw", false},
		{declared, "1 2 254:0 /etc/ssl /etc/ssl/x ro - ext4 /dev/vda rw", true},
		{box, "1 2 0:21 / /mnt/proc rw - proc proc rw", false},
		{box, "1 2 0:25 / /run rw - tmpfs tmpfs rw", false},
		{box, "1 2 0:25 /user /run rw - tmpfs tmpfs rw", true},
		{box, "1 2 0:25 / /host/run rw - tmpfs tmpfs rw", true},
		{vm, "1 2 0:30 / / rw - virtiofs /dev/root rw", false},
		{vm, "1 2 0:30 / /work rw - virtiofs home rw", true},
		{vm, "1 2 0:30 / /work rw shared:1 - fuse.sshfs x rw", true},
		{vm, "1 2 254:0 / /storage rw - ext4 /dev/vdb rw", false},
		{box, "no mount", false},
	} {
		if got := c.site.strayMounts([]byte(c.line + "\n")); (got != "") != c.stray {
			t.Errorf("%q: %q, want stray %t", c.line, got, c.stray)
		}
	}
}

func TestAgentAnswer(t *testing.T) {
	none := append([]byte{0, 0, 0, 5, agentIdentities}, binary.BigEndian.AppendUint32(nil, 0)...)
	for answer, shown := range map[string]bool{"": false, "HTTP/1.1 400": false, string(none): true, "\x00\x00\x00\x01\x05": true, "\x00\x00\x00\x02\x05": false} {
		if got := agentAnswer([]byte(answer)); (got != "") != shown {
			t.Errorf("%q: %q", answer, got)
		}
	}
}

// The allowed destination's listener at another address of the host is found by its proof, and by nothing else.
func TestSidecar(t *testing.T) {
	s := localSite(t, confinedGuest)
	if f := runLocal(t, s, "net.inbound.sidecar"); f.Verdict != Contained {
		t.Errorf("%s", f)
	}
	everywhere := newCanary(t, "allowed", anyLoopback)
	s.Allowed = everywhere.Target()
	for _, own := range ownAddresses() {
		if own.Is6() || own == everywhere.Addr().Addr() {
			continue
		}
		l, err := net.Listen("tcp4", fmt.Sprintf("%s:%d", own, everywhere.Addr().Port()))
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = l.Close() }()
		go func() {
			for {
				conn, err := l.Accept()
				if err != nil {
					return
				}
				v := everywhere.ledger.enter("published", "tcp", "", "")
				serveStream(t.Context(), conn, v, everywhere.Secret(), v.sawAs)
			}
		}()
		s.Run = walled(s, confinedGuest).run(nil)
		if f := runLocal(t, s, "net.inbound.sidecar"); f.Verdict != Leak {
			t.Errorf("%s", f)
		}
		return
	}
	t.Skip("this host has no second IPv4 address to publish at")
}
