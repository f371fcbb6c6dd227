package shell_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"bottle.internal/internal/echo"
	"bottle.internal/internal/porttest"
	"bottle.internal/probes/agent"
	"bottle.internal/probes/agent/shell"
)

// found is the real program behind a name: a wrapper would need a PATH of its own.
func found(t *testing.T, name string) string {
	t.Helper()
	if name == "python3" {
		out, err := exec.Command("python3", "-c", "import sys; print(sys.executable)").Output()
		if err != nil {
			return ""
		}
		return strings.TrimSpace(string(out))
	}
	path, err := exec.LookPath(name)
	if err != nil {
		return ""
	}
	return path
}

// need skips, with its reason, on a machine that lacks a tool, and fails where nothing may be skipped.
func need(t *testing.T, path, name string) {
	t.Helper()
	switch {
	case path != "":
	case os.Getenv("BOTTLE_REQUIRE") == "1":
		t.Fatalf("this machine has no %s", name)
	default:
		t.Skipf("this machine has no %s", name)
	}
}

// bin is a PATH with what every system has and the tools.
func bin(t *testing.T, tools ...string) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range append([]string{"cat", "date", "grep", "id", "od", "sed", "sleep", "tr", "uname"}, tools...) {
		plant(t, dir, name)
	}
	return dir
}

// ran is what a shell makes of a request with a PATH.
func ran(t *testing.T, sh []string, path string, r agent.Request) []byte {
	t.Helper()
	script, err := shell.Script(r)
	if err != nil {
		t.Fatal(err)
	}
	return fed(t, sh, path, script)
}

// fed is what a shell prints that is given a script.
func fed(t *testing.T, sh []string, path, script string) []byte {
	t.Helper()
	need(t, found(t, sh[0]), sh[0])
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	var stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, found(t, sh[0]), sh[1:]...)
	cmd.Env, cmd.Stdin, cmd.Stderr = []string{"PATH=" + path}, strings.NewReader(script), &stderr
	out, err := cmd.Output()
	if err != nil || stderr.Len() > 0 {
		t.Errorf("%v: %s", err, &stderr)
	}
	return out
}

// serving is a listener whose connections are handed to serve.
func serving(t *testing.T, serve func(net.Conn)) netip.AddrPort {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() { defer func() { _ = conn.Close() }(); serve(conn) }()
		}
	}()
	return netip.MustParseAddrPort(l.Addr().String())
}

func encoded(t *testing.T, r agent.Request) []byte {
	t.Helper()
	b, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func heard(conn net.Conn) echo.Nonce {
	buf := make([]byte, 512)
	k, _ := conn.Read(buf)
	n, _ := echo.ParseRequest(buf[:k])
	return n
}

func closed(t *testing.T) netip.AddrPort {
	t.Helper()
	return porttest.Closed(t, netip.AddrFrom4([4]byte{127, 0, 0, 1}))
}

// request has an attempt at each address, one that a shell does not make, and one after another.
func request(addrs ...netip.AddrPort) agent.Request {
	r := agent.Request{Schema: agent.Schema, Run: echo.NewNonce(), DeadlineMS: 50_000}
	for i, addr := range addrs {
		r.Attempts = append(r.Attempts, agent.Attempt{ID: string(rune('a' + i)), Network: agent.TCP4, Addr: addr, Nonce: echo.NewNonce(), BudgetMS: 1000, Phase: 1 + i%2})
	}
	r.Attempts = append(r.Attempts,
		agent.Attempt{ID: "udp", Network: agent.UDP4, Addr: addrs[0], Nonce: echo.NewNonce(), BudgetMS: 100},
		agent.Attempt{ID: "again", Network: agent.TCP4, Addr: addrs[0], Nonce: echo.NewNonce(), BudgetMS: 100, Phase: 3, After: "a", When: agent.WhenNotReachable})
	return r
}

// Each tool, in each shell, tells the ends apart that count: the canary's answer, a refusal, and a connection that says nothing.
func TestTools(t *testing.T) {
	for _, sh := range [][]string{{"dash"}, {"bash", "--posix"}, {"busybox", "sh"}} {
		tools := []string{"python3", "perl", "bash", "socat", "nc.openbsd", "nc.traditional", "ncat", "busybox", "curl", "wget"}
		if sh[0] == "busybox" { // which has its own nc, and so never comes to those behind it
			tools = []string{"python3", "perl", "busybox"}
		}
		for _, tool := range tools {
			t.Run(strings.Join(append(sh, tool), " "), func(t *testing.T) {
				t.Parallel()
				secret := echo.NewSecret()
				up := serving(t, func(c net.Conn) { _, _ = c.Write(echo.Response(echo.NewReply(secret, "test", heard(c), "", ""))) })
				silent := serving(t, func(c net.Conn) { heard(c); _, _ = io.Copy(io.Discard, c); time.Sleep(10 * time.Second) })
				r := request(up, closed(t), silent)
				out := ran(t, sh, bin(t, tool), r)
				ans, err := shell.Decode(r, out)
				if err != nil || len(ans.Faults) > 0 {
					t.Fatalf("%v, %q\n%s", err, ans.Faults, out)
				}
				for id, want := range map[string][]agent.Observation{
					"a": {agent.Reachable}, "b": {agent.Refused}, "c": {agent.HandshakeOnly, agent.Filtered}, "udp": {agent.ProbeError}, "again": {agent.ProbeError},
				} {
					if got := ans.Results[id].Observation; !slices.Contains(want, got) {
						t.Errorf("%s: %q, want one of %q\n%s", id, got, want, out)
					}
				}
				if got := ans.Results["c"].Observation; tool != "busybox" && got != agent.HandshakeOnly {
					t.Errorf("silence behind a handshake reads %q by %s", got, tool)
				}
				reply, err := echo.ParseResponse(ans.Results["a"].Reply)
				if err != nil || !secret.Verify(r.Attempts[0].Nonce, reply) {
					t.Errorf("the proof did not come back: %v", err)
				}
				if !strings.Contains(ans.Self.Weak, ", with "+tool+";") || !ans.Self.Echo || ans.Self.EchoError != "" {
					t.Errorf("it says of itself %+v", ans.Self)
				}
				if ans.Results["again"].Stage != agent.StageSkipped || ans.Results["udp"].Stage != agent.StageUnfinished {
					t.Errorf("%+v", ans.Results)
				}
			})
		}
	}
}

func TestErrnos(t *testing.T) {
	reset := serving(t, func(c net.Conn) { heard(c); _ = c.(*net.TCPConn).SetLinger(0) })
	banner := serving(t, func(c net.Conn) { _, _ = io.WriteString(c, "SSH-2.0-x\r\n"); heard(c) })
	for _, tool := range []string{"python3", "perl", "bash"} {
		r := request(answering(t), reset, banner)
		ans, err := shell.Decode(r, ran(t, []string{"dash"}, bin(t, tool), r))
		if err != nil {
			t.Fatal(err)
		}
		if got := ans.Results["b"]; got.Errno != "ECONNRESET" || got.Observation != agent.Reset {
			t.Errorf("%s: %+v", tool, got)
		}
		if got := ans.Results["c"]; got.Observation != agent.Intercepted {
			t.Errorf("%s: %+v", tool, got)
		}
	}
}

// answering is a canary whose proofs nobody looks at.
func answering(t *testing.T) netip.AddrPort {
	secret := echo.NewSecret()
	return serving(t, func(c net.Conn) { _, _ = c.Write(echo.Response(echo.NewReply(secret, "test", heard(c), "", ""))) })
}

// A guest without a tool says so, and makes nothing; so does one whose tools do not work, which name what they met.
func TestNoTool(t *testing.T) {
	for name, c := range map[string]struct {
		at    netip.AddrPort
		tools []string
		says  string
	}{
		"none":                   {answering(t), nil, "has no tool"},
		"of a dead destination":  {closed(t), []string{"perl"}, "tried: perl connect ECONNREFUSED"},
		"that cannot be started": {answering(t), []string{"nc=#!/none\n"}, "tried: nc unfinished -"},
		"that lacks a library":   {answering(t), []string{"nc=" + script("echo 'nc: error while loading shared libraries: libc.so.6: Permission denied' >&2; exit 127")}, "tried: nc unfinished -"},
	} {
		r := request(c.at, closed(t))
		path := bin(t)
		for _, tool := range c.tools {
			plant(t, path, tool)
		}
		ans, err := shell.Decode(r, ran(t, []string{"dash"}, path, r))
		if err != nil {
			t.Fatal(name, err)
		}
		for id, got := range ans.Results {
			if got.Observation != agent.ProbeError {
				t.Errorf("%s: %s: %+v", name, id, got)
			}
		}
		if ans.Self.Echo || !strings.Contains(ans.Self.EchoError, c.says) || !strings.Contains(ans.Self.Weak, "with none") {
			t.Errorf("%s: %+v", name, ans.Self)
		}
	}
}

// What does not fit into the deadline is not made, and the script ends.
func TestDeadline(t *testing.T) {
	silent := serving(t, func(c net.Conn) { time.Sleep(20 * time.Second) })
	r := request(answering(t), silent, silent, silent, silent, silent)
	r.DeadlineMS = 2000
	start := time.Now()
	ans, err := shell.Decode(r, ran(t, []string{"dash"}, bin(t, "python3"), r))
	if err != nil {
		t.Fatal(err)
	}
	if took := time.Since(start); took > 10*time.Second {
		t.Errorf("took %s", took)
	}
	if got := ans.Results["f"].Stage; got != agent.StageUnfinished {
		t.Errorf("the last attempt is at %q", got)
	}
}
