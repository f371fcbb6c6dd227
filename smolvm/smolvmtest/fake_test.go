package smolvmtest_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"bottle.internal/smolvm/smolvmtest"
	"github.com/google/go-cmp/cmp"
)

func TestMain(m *testing.M) {
	smolvmtest.Main(m, map[string]smolvmtest.Handler{
		"count": func(c smolvmtest.Call) smolvmtest.Reply {
			f, err := os.OpenFile(filepath.Join(c.State, "count"), os.O_CREATE|os.O_APPEND|os.O_RDWR, 0o600)
			if err != nil {
				return smolvmtest.Reply{Exit: 1, Stderr: err.Error()}
			}
			defer func() { _ = f.Close() }()
			_, _ = f.WriteString("x")
			info, _ := f.Stat()
			return smolvmtest.Reply{Stdout: fmt.Sprint(info.Size(), "\xff")}
		},
	})
}

// A recorder is a test that is not failed by what it is told.
type recorder struct {
	*testing.T
	errors   []string
	cleanups []func()
}

func (r *recorder) Errorf(format string, args ...any) {
	r.errors = append(r.errors, fmt.Sprintf(format, args...))
}
func (r *recorder) Cleanup(f func()) { r.cleanups = append(r.cleanups, f) }

// end runs the cleanups and returns what the test was failed for.
func (r *recorder) end() []string {
	for _, f := range r.cleanups {
		f()
	}
	return r.errors
}

type ended struct {
	stdout, stderr string
	exit           int
	signal         syscall.Signal
}

func run(t *testing.T, cmd *exec.Cmd) ended {
	t.Helper()
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	_ = cmd.Run() // the state says it all
	if cmd.ProcessState == nil {
		t.Fatalf("%q did not start", cmd.Args)
	}
	e := ended{stdout: stdout.String(), stderr: stderr.String(), exit: cmd.ProcessState.ExitCode()}
	if ws, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
		e.signal = ws.Signal()
	}
	return e
}

func TestUnscriptedCallFails(t *testing.T) {
	r := &recorder{T: t}
	fake := smolvmtest.New(r, smolvmtest.Version("1.9.3"))
	got := run(t, exec.Command(fake.Path, "machine", "start", "--name", "m"))
	if got.exit != smolvmtest.ExitUnscripted || got.stdout != "" || !strings.Contains(got.stderr, "unscripted") {
		t.Errorf("%+v", got)
	}
	if errs := r.end(); len(errs) != 1 || !strings.Contains(errs[0], "machine start --name m") {
		t.Errorf("the test was failed for %q", errs)
	}
}

func TestUnusedReplyFails(t *testing.T) {
	r := &recorder{T: t}
	fake := smolvmtest.New(r, smolvmtest.Version("1.9.3"), smolvmtest.Reply{Argv: []string{"machine", "ls"}},
		smolvmtest.Reply{Argv: []string{"machine", "stop"}, Times: 2})
	run(t, exec.Command(fake.Path, "machine", "stop"))
	if errs := r.end(); len(errs) != 2 || !strings.Contains(errs[0], "ls") || !strings.Contains(errs[1], "1 times, not 2") {
		t.Errorf("the test was failed for %q", errs)
	}
}

func TestGoodRunDoesNotFail(t *testing.T) {
	r := &recorder{T: t}
	fake := smolvmtest.New(r, smolvmtest.Version("1.9.3"), smolvmtest.Reply{Times: 2})
	run(t, exec.Command(fake.Path, "a"))
	run(t, exec.Command(fake.Path, "b"))
	if errs := r.end(); len(errs) != 0 {
		t.Errorf("the test was failed for %q", errs)
	}
}

// The most a reply can say, played as it is.
func TestReply(t *testing.T) {
	fake := smolvmtest.NewInOrder(t,
		smolvmtest.Reply{Stdout: "out\n", Stderr: "err\n", Exit: 3},
		smolvmtest.Reply{Signal: syscall.SIGTERM, Stdout: "last words"},
		smolvmtest.Reply{Signal: syscall.SIGKILL},
		smolvmtest.Reply{},
	)
	for i, want := range []ended{
		{stdout: "out\n", stderr: "err\n", exit: 3},
		{stdout: "last words", exit: -1, signal: syscall.SIGTERM},
		{exit: -1, signal: syscall.SIGKILL},
		{},
	} {
		if got := run(t, exec.Command(fake.Path, "x")); got != want {
			t.Errorf("reply %d: %+v, want %+v", i, got, want)
		}
	}
}

func TestDelay(t *testing.T) {
	fake := smolvmtest.New(t, smolvmtest.Reply{Delay: 100 * time.Millisecond})
	began := time.Now()
	run(t, exec.Command(fake.Path))
	if took := time.Since(began); took < 100*time.Millisecond {
		t.Errorf("answered after %s", took)
	}
}

// Any order: each call takes the first reply that is for it and is left.
func TestAnyOrder(t *testing.T) {
	fake := smolvmtest.New(t,
		smolvmtest.Reply{Argv: []string{"a", "b"}, Stdout: "ab"},
		smolvmtest.Reply{Argv: []string{"a"}, Stdout: "a1"},
		smolvmtest.Reply{Argv: []string{"a"}, Stdout: "a2", Times: smolvmtest.AnyTimes},
		smolvmtest.Reply{Argv: []string{"c"}, Stdout: "c", Times: smolvmtest.AnyTimes},
	)
	var got []string
	for _, argv := range [][]string{{"a"}, {"a", "x"}, {"a", "b", "c"}, {"a", "b"}} {
		got = append(got, run(t, exec.Command(fake.Path, argv...)).stdout)
	}
	if diff := cmp.Diff([]string{"a1", "a2", "ab", "a2"}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestInOrder(t *testing.T) {
	r := &recorder{T: t}
	fake := smolvmtest.NewInOrder(r,
		smolvmtest.Reply{Argv: []string{"v"}, Times: smolvmtest.AnyTimes, Stdout: "v"},
		smolvmtest.Reply{Argv: []string{"a"}, Stdout: "a"}, smolvmtest.Reply{Argv: []string{"b"}, Stdout: "b"})
	early := run(t, exec.Command(fake.Path, "b"))
	if early.exit != smolvmtest.ExitUnscripted {
		t.Errorf("out of order: %+v", early)
	}
	for _, arg := range []string{"v", "a", "v", "b", "v"} {
		if got := run(t, exec.Command(fake.Path, arg)); got.stdout != arg {
			t.Errorf("%s: %+v", arg, got)
		}
	}
	if errs := r.end(); len(errs) != 1 || !strings.Contains(errs[0], "unscripted") {
		t.Errorf("the test was failed for %q", errs)
	}
}

// Fakes that run at once neither share a reply nor lose a record.
func TestConcurrentCalls(t *testing.T) {
	const n = 8
	var replies []smolvmtest.Reply
	for i := range n {
		replies = append(replies, smolvmtest.Reply{Stdout: fmt.Sprint(i)})
	}
	fake := smolvmtest.New(t, replies...)
	var mu sync.Mutex
	seen := map[string]bool{}
	var wg sync.WaitGroup
	for range n {
		wg.Go(func() {
			got := run(t, exec.Command(fake.Path, "x"))
			mu.Lock()
			defer mu.Unlock()
			seen[got.stdout] = true
		})
	}
	wg.Wait()
	if len(seen) != n || len(fake.Calls()) != n {
		t.Errorf("%d replies, %d records, want %d", len(seen), len(fake.Calls()), n)
	}
}
