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

// The process ends at its deadline, neither when its targets are silent nor when nobody reads what it has to say does it go on. How soon a loaded
// machine starts a process and sees its end is not the agent's: what is looked at is that nothing else can have ended it, since every target has
// half a minute. That the answer leaves time to be written is TestRunDeadline's.
func TestMainDeadline(t *testing.T) {
	const deadline, budgets = 700 * time.Millisecond, 30 * time.Second
	l, err := net.Listen("tcp", "127.0.0.1:0") // takes connections and says nothing
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	silent := netip.MustParseAddrPort(l.Addr().String())

	t.Run("silent targets", func(t *testing.T) {
		r := batch(deadline, silent, silent)
		out, code, took := lived(t, r, nil)
		if took > budgets/2 || took < deadline/2 || code != agent.ExitAnswered && code != agent.ExitDeadline {
			t.Fatalf("exit %d after %s", code, took)
		}
		if code == agent.ExitDeadline {
			return // the machine was so slow that the answer would have been late
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
		defer func() { _ = pr.Close(); _ = pw.Close() }()
		if _, code, took := lived(t, many, pw); code != agent.ExitDeadline || took > budgets/2 {
			t.Errorf("exit %d after %s, want exit %d", code, took, agent.ExitDeadline)
		}
	})
}

// lived is what the agent answers to r, or to's reader does not read, how it ended, and when.
func lived(t *testing.T, r agent.Request, to *os.File) (out []byte, code int, took time.Duration) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 25*time.Second)
	defer cancel()
	var answer bytes.Buffer
	cmd := exec.CommandContext(ctx, binary(t, ""))
	cmd.Stdin, cmd.Stdout = bytes.NewReader(written(t, r)), &answer
	if to != nil {
		cmd.Stdout = to
	}
	start := time.Now()
	err := cmd.Run()
	took = time.Since(start)
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return answer.Bytes(), cmd.ProcessState.ExitCode(), took
}

// The agent tells what memory it took, and keeps to its bound with five times the attempts of the catalogue, each with a reply.
func TestPeakMemory(t *testing.T) {
	const most = 20 << 10 // KiB
	r := batch(30 * time.Second)
	for i := range 1500 {
		r.Attempts = append(r.Attempts, agent.Attempt{ID: fmt.Sprint(i), Network: agent.Look, Method: agent.Read, Path: "/proc/self/status", Nonce: echo.NewNonce(), BudgetMS: 20_000})
	}
	out, code, _ := lived(t, r, nil)
	ans, err := r.Decode(out)
	if err != nil || code != agent.ExitAnswered || ans.Self.PeakKiB == 0 {
		t.Fatalf("exit %d, %v, %+v", code, err, ans.Self)
	}
	t.Logf("%d attempts, %d bytes of answers: %d KiB", len(r.Attempts), len(out), ans.Self.PeakKiB)
	if ans.Self.PeakKiB > most {
		t.Errorf("%d KiB resident, want at most %d", ans.Self.PeakKiB, most)
	}
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
