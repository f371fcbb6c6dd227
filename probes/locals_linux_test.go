package probes

import (
	"bytes"
	"encoding/binary"
	"fmt"
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

// localRows are the rows of those families that one batch answers.
func localRows() []Probe {
	var all []Probe
	for _, p := range All() {
		if p.Scene() {
			continue
		}
		if p.ID == "fs.virtiofs.rawname" || p.ID == "cred.injected" {
			continue // TestRawName, TestInjected
		}
		if matches(p.Family, localFamilies...) && !matches(p.ID, "net.raw.packet", "net.raw.ip", "res.flood") || p.ID == "net.tcp.inherited-fds" {
			all = append(all, p)
		}
	}
	return all
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
	work := path.Join(dir, "work")
	if err := os.MkdirAll(path.Join(work, ".git", "hooks"), 0o755); err != nil {
		t.Fatal(err)
	}
	s.Declared.Mounts = []Mount{{Guest: "/shared" + dir, Host: dir, ReadOnly: true}, {Guest: "/shared" + work, Host: work}}
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

// cutShort is a sound guest that had more to tell.
func cutShort(a agent.Attempt) agent.Result {
	r := confinedGuest(a)
	if a.Network == agent.Look {
		r.Reply = append(r.Reply, "…\n"...)
	}
	return r
}

// What was not told to the end does not show that something is not there, whatever the look.
func TestCutAnswers(t *testing.T) {
	for _, id := range []string{
		"net.unix.inventory", "env.decoy", "net.tcp.inherited-fds", "net.af.census", "fs.mounts.exact", "fs.device-nodes", "priv.identity", "dev.inventory",
		"proc.host-visible",
	} {
		if f := runLocal(t, localSite(t, cutShort), id); f.Verdict != Inconclusive {
			t.Errorf("%s", f)
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

// A call that the agent does not know was not made.
func TestUnknownCall(t *testing.T) {
	for _, id := range []string{"net.raw.tun", "kernel.attack-surface"} {
		g := func(agent.Attempt) agent.Result { return failedWith(agent.StageDone, "EINVAL") }
		if f := runLocal(t, localSite(t, g), id); f.Verdict != Inconclusive {
			t.Errorf("%s", f)
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
		{box, "1 2 8:1 / /tmp rw - ext4 /dev/sda rw", true},
		{box, "1 2 8:1 /home/me /run/me rw - ext4 /dev/sda rw", true},
		{box, "1 2 8:1 /home/me /dev/me rw - btrfs /dev/sda rw", true},
		{box, "1 2 0:70 / /sys/fs/host rw - fuse.sshfs host rw", true},
		{box, "1 2 0:39 / / rw - fuse.fuse-overlayfs fuse-overlayfs rw", false},
		{box, "1 2 0:25 /newroot / rw - tmpfs tmpfs rw", false}, // bubblewrap's
		{box, "1 2 8:1 /usr/bin/tini-static /sbin/docker-init ro - ext4 /dev/sda rw", false},
		{box, "1 2 0:25 /containers/1/userdata/hosts /etc/hosts rw - tmpfs tmpfs rw", false}, // podman's
		{box, "1 2 0:25 /containers/1/userdata/.containerenv /run/.containerenv rw - tmpfs tmpfs rw", false},
		{box, "1 2 0:70 /proc/meminfo /proc/meminfo rw - fuse.lxcfs lxcfs rw", false},
		{box, "1 2 0:70 / /var/lib/lxcfs rw - fuse.lxcfs lxcfs rw", true},
		{box, "1 2 0:71 / /sys/fs/selinux rw - selinuxfs selinuxfs rw", false},
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
	all, _ := ownAddresses()
	for _, own := range all {
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
				serveStream(t.Context(), conn, v, v.sawAs, everywhere.answer)
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

// A batch that is over before the host has tried to come in says nothing of what comes in, nor do tries of which none may have met the
// guest while it listened.
func TestServedTooShort(t *testing.T) {
	served := agent.Result{Stage: agent.StageDone, Reply: servingSelf}
	b := batch{rig: &rig{opts: Options{}.withDefaults()}, answer: agent.Answer{Results: map[string]agent.Result{"a": served}}, intrusions: make(map[*trialPlan][]*intrusion)}
	tp := &trialPlan{shots: []shot{{Attempt: agent.Attempt{ID: "a"}}}}
	for _, c := range []struct {
		second intrusion
		want   State
	}{
		{intrusion{}, Failed},
		{intrusion{tries: 1}, Held},
		{intrusion{tries: 9, gap: defaultServing}, Held},
		{intrusion{tries: 9, gap: defaultServing + 1}, Failed},
		{intrusion{tries: 9, gap: time.Hour, proof: echo.NewSecret()}, Held}, // the sidecar's, which listens on
	} {
		b.intrusions[tp] = []*intrusion{{tries: 1}, &c.second}
		var tr trial
		if b.serving(tp, &tr); tr.log.State != c.want {
			t.Errorf("%d tries, %s apart: %s", c.second.tries, c.second.gap, tr.log.Text)
		}
	}
}
