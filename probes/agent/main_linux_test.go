package agent_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"bottle.internal/internal/echo"
	"bottle.internal/internal/gobuild"
	"bottle.internal/probes/agent"
)

// maxSize is what a released binary may weigh: it is copied into every guest.
const maxSize = 4 << 20

func binary(t *testing.T, arch string) string {
	t.Helper()
	bin, err := gobuild.Binary(t.Context(), gobuild.Target{Command: "bottle-agent", GOOS: "linux", GOARCH: arch})
	if err != nil {
		t.Fatal(err)
	}
	return bin
}

func TestBinarySize(t *testing.T) {
	for _, arch := range []string{"amd64", "arm64"} {
		info, err := os.Stat(binary(t, arch))
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%s: %.2f MiB", arch, float64(info.Size())/(1<<20))
		if info.Size() > maxSize {
			t.Errorf("%s: %d bytes, want at most %d", arch, info.Size(), maxSize)
		}
	}
}

func batch(deadline time.Duration, addrs ...netip.AddrPort) agent.Request {
	r := agent.Request{Schema: agent.Schema, Run: echo.NewNonce(), DeadlineMS: int(deadline.Milliseconds())}
	for i, a := range addrs {
		r.Attempts = append(r.Attempts, agent.Attempt{ID: string(rune('a' + i)), Network: agent.TCP4, Addr: a, Nonce: echo.NewNonce(), BudgetMS: 30_000})
	}
	return r
}

func written(t *testing.T, r agent.Request) []byte {
	t.Helper()
	b, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestMainAnswers(t *testing.T) {
	r := batch(5*time.Second, netip.MustParseAddrPort("127.0.0.1:1"))
	file := filepath.Join(t.TempDir(), "request.json")
	if err := os.WriteFile(file, written(t, r), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		args  []string
		env   []string
		stdin io.Reader
	}{
		"stdin":    {nil, nil, bytes.NewReader(written(t, r))},
		"file":     {[]string{file}, nil, strings.NewReader("")},
		"variable": {nil, []string{agent.RequestVariable + "=" + string(written(t, r))}, strings.NewReader("")},
		"both":     {[]string{file}, []string{agent.RequestVariable + "={}"}, strings.NewReader("")},
	} {
		var stdout, stderr bytes.Buffer
		cmd := exec.CommandContext(t.Context(), binary(t, ""), c.args...)
		cmd.Env = append(os.Environ(), c.env...)
		cmd.Stdin, cmd.Stdout, cmd.Stderr = c.stdin, &stdout, &stderr
		if err := cmd.Run(); err != nil {
			t.Fatalf("%s: %v: %s", name, err, &stderr)
		}
		ans, err := r.Decode(stdout.Bytes())
		if err != nil || len(ans.Faults) != 0 || !ans.Self.Echo {
			t.Errorf("%s: %+v, %v", name, ans, err)
		}
	}
}

func TestMainRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		args  []string
		stdin string
	}{
		"no request":    {nil, ""},
		"garbage":       {nil, "{"},
		"two files":     {[]string{"a", "b"}, ""},
		"no such file":  {[]string{filepath.Join(t.TempDir(), "none")}, ""},
		"empty request": {nil, "{}"},
		"endless":       {nil, strings.Repeat(" ", agent.MaxBatch+1)},
	} {
		var stdout, stderr bytes.Buffer
		if code := agent.Main(c.args, strings.NewReader(c.stdin), &stdout, &stderr); code != agent.ExitUsage || stdout.Len() > 0 || stderr.Len() == 0 {
			t.Errorf("%s: exit %d, stdout %q, stderr %q", name, code, &stdout, &stderr)
		}
	}
}

// The process does not outlive its deadline, neither when its targets are silent nor when nobody reads what it has to say.
func TestMainDeadline(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0") // takes connections and says nothing
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	silent := netip.MustParseAddrPort(l.Addr().String())
	const deadline = 700 * time.Millisecond
	r := batch(deadline, silent, silent)

	t.Run("silent targets", func(t *testing.T) {
		cmd := exec.CommandContext(t.Context(), binary(t, ""))
		cmd.Stdin = bytes.NewReader(written(t, r))
		start := time.Now()
		out, err := cmd.Output()
		if took := time.Since(start); err != nil || took > deadline+500*time.Millisecond {
			t.Fatalf("after %s: %v", took, err)
		}
		ans, err := r.Decode(out)
		if err != nil || ans.Results["a"].Stage != agent.StageUnfinished {
			t.Errorf("%+v, %v", ans, err)
		}
	})

	t.Run("nobody reads", func(t *testing.T) {
		many := batch(deadline)
		for i := range 900 {
			many.Attempts = append(many.Attempts, agent.Attempt{ID: strings.Repeat("x", 40) + string(rune('0'+i%10)) + time.Duration(i).String(),
				Network: agent.TCP4, Addr: netip.MustParseAddrPort("127.0.0.1:1"), Nonce: echo.NewNonce(), BudgetMS: 100})
		}
		pr, pw, err := os.Pipe() // 64 KiB, and the answer is longer
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = pr.Close() }()
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		cmd := exec.CommandContext(ctx, binary(t, ""))
		cmd.Stdin, cmd.Stdout = bytes.NewReader(written(t, many)), pw
		start := time.Now()
		err = cmd.Run()
		_ = pw.Close()
		var exit *exec.ExitError
		if took := time.Since(start); !errors.As(err, &exit) || exit.ExitCode() != agent.ExitDeadline || took > deadline+500*time.Millisecond {
			t.Errorf("after %s: %v, want exit %d", took, err, agent.ExitDeadline)
		}
	})
}

// A socket that the agent is started with is told, a file is not, and neither is what the agent opens.
func TestInheritedSockets(t *testing.T) {
	l, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	socket, err := l.File()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = socket.Close() }()
	inode, err := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", socket.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = null.Close() }()
	r := batch(5 * time.Second)
	r.Attempts = []agent.Attempt{{ID: "fds", Network: agent.Look, Method: agent.FDs, Nonce: echo.NewNonce(), BudgetMS: 1000}}
	for want, files := range map[string][]*os.File{"": {null}, "4 " + inode + "\n": {null, socket}} {
		cmd := exec.CommandContext(t.Context(), binary(t, ""))
		cmd.Stdin, cmd.ExtraFiles = bytes.NewReader(written(t, r)), files
		out, err := cmd.Output()
		if err != nil {
			t.Fatal(err)
		}
		ans, err := r.Decode(out)
		if got := ans.Results["fds"]; err != nil || string(got.Reply) != want || got.Stage != agent.StageDone {
			t.Errorf("%+v, %v; want %q", got, err, want)
		}
	}
}

// No look takes long: a batch has several, and a guest little. The quickest of some tries counts, because the machine is not the test's alone, and
// of the binary, because a test's own code may be watched for races. The families are the slowest: for each that it does not know the
// kernel looks for a module.
func TestLooksAreQuick(t *testing.T) {
	const most = 250 * time.Millisecond
	r := batch(20 * time.Second)
	for i, look := range []struct {
		method agent.Method
		path   string
	}{
		{agent.Read, "/proc/version"}, {agent.List, "/dev"}, {agent.Write, "/none"}, {agent.Create, "/none/none"}, {agent.FollowLink, "/proc/version"},
		{agent.Search, "bottle-test"}, {agent.Sockets, ""}, {agent.Families, ""}, {agent.Mounts, ""}, {agent.Privileges, ""}, {agent.SysCall, "tun"},
		{agent.Devices, ""}, {agent.Processes, ""}, {agent.Limits, ""}, {agent.FDs, ""},
	} {
		r.Attempts = append(r.Attempts, agent.Attempt{ID: string(look.method), Network: agent.Look, Method: look.method, Path: look.path, Nonce: echo.NewNonce(), BudgetMS: 5000, Phase: i})
	}
	quickest := make(map[string]time.Duration)
	for range 5 {
		cmd := exec.CommandContext(t.Context(), binary(t, ""))
		cmd.Stdin = bytes.NewReader(written(t, r))
		out, err := cmd.Output()
		if err != nil {
			t.Fatal(err)
		}
		ans, err := r.Decode(out)
		if err != nil || len(ans.Faults) > 0 {
			t.Fatal(err, ans.Faults)
		}
		for id, res := range ans.Results {
			took := time.Duration(res.ElapsedUS) * time.Microsecond
			if known, ok := quickest[id]; !ok || took < known {
				quickest[id] = took
			}
		}
	}
	for id, took := range quickest {
		t.Logf("%s: %s", id, took)
		if took > most {
			t.Errorf("%s took %s", id, took)
		}
	}
}
