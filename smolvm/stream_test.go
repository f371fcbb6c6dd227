package smolvm

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"bottle.internal/smolvm/smolvmtest"
)

// A signalling writer tells when what it waits for has been written.
type signalling struct {
	mu   sync.Mutex
	got  bytes.Buffer
	want string
	seen chan struct{}
}

func (s *signalling) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	before := strings.Contains(s.got.String(), s.want)
	n, err := s.got.Write(p)
	if !before && strings.Contains(s.got.String(), s.want) {
		close(s.seen)
	}
	return n, err
}

// The output is there while the command runs: this command does not end before it was seen.
func TestExecStreamIsLive(t *testing.T) {
	c, fake := scripted(t, "1.9.3", smolvmtest.Reply{Handler: "talks, then waits"})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	out := &signalling{want: "hello", seen: make(chan struct{})}
	errs := &signalling{want: "password: ", seen: make(chan struct{})}
	failed := make(chan error, 1)
	go func() {
		_, err := c.ExecStream(ctx, "m", Command{Argv: []string{"x"}}, out, errs)
		failed <- err
	}()
	for _, seen := range []chan struct{}{out.seen, errs.seen} {
		select {
		case <-seen:
		case err := <-failed:
			t.Fatal(err)
		}
	}
	cancel()
	wantIs(t, <-failed, context.Canceled)
	wantLines(t, fake, "machine exec --name m --stream -- x")
}

func TestExecStream(t *testing.T) {
	for name, row := range map[string]struct {
		reply  smolvmtest.Reply
		want   error
		code   int
		stdout string
		stderr string
	}{
		"ends well":               {smolvmtest.Reply{Guest: &smolvmtest.Guest{Stdout: "out", Stderr: "err\n"}}, nil, 0, "out", "err\n"},
		"fails":                   {smolvmtest.Reply{Guest: &smolvmtest.Guest{Stderr: "Error: vm not found: m\n", Exit: 1}}, nil, 1, "", "Error: vm not found: m\n"},
		"no report":               {smolvmtest.Reply{Stdout: "half"}, errNoReport, 0, "half", ""},
		"smolvm fails":            {failing("vm not found: m"), ErrNotFound, 1, "", "Error: vm not found: m\n"},
		"report, then it failed":  {smolvmtest.Reply{Handler: "report 0, exit 1"}, ErrNotRunning, 1, "", "error: machine 'm' is not running\n"},
		"killed after it printed": {smolvmtest.Reply{Stdout: "half", Exit: 137}, errKilledAtOnce, 137, "half", ""},
	} {
		t.Run(name, func(t *testing.T) {
			c, fake := scripted(t, "1.9.3", row.reply)
			var stdout, stderr bytes.Buffer
			res, err := c.ExecStream(t.Context(), "m", Command{Argv: []string{"x"}}, &stdout, &stderr)
			wantIs(t, err, row.want)
			if res.ExitCode != row.code || stdout.String() != row.stdout || stderr.String() != row.stderr || res.Stdout != nil || res.Stderr != nil {
				t.Errorf("%+v, stdout %q, stderr %q", res, stdout.String(), stderr.String())
			}
			if len(fake.Lines()) != 1 {
				t.Errorf("%q", fake.Lines())
			}
		})
	}
}

// What was lost before it said a word is run again, and nobody hears of it twice.
func TestExecStreamRepeats(t *testing.T) {
	c, _ := scripted(t, "1.9.3", smolvmtest.Reply{Exit: 137}, smolvmtest.Reply{Guest: &smolvmtest.Guest{Stdout: "once"}})
	var out bytes.Buffer
	res, err := c.ExecStream(t.Context(), "m", Command{Argv: []string{"x"}}, &out, nil)
	if err != nil || out.String() != "once" || len(res.Retries) != 1 {
		t.Errorf("%+v, %v, %q", res, err, out.String())
	}
}

type failingWriter struct{ err error }

func (f failingWriter) Write([]byte) (int, error) { return 0, f.err }

func TestExecStreamWriterFails(t *testing.T) {
	full := errors.New("disk full")
	for name, row := range map[string]struct{ stdout, stderr io.Writer }{"stdout": {failingWriter{full}, nil}, "stderr": {nil, failingWriter{full}}} {
		c, _ := scripted(t, "1.9.3", smolvmtest.Reply{Guest: &smolvmtest.Guest{Stdout: "out", Stderr: "err"}})
		_, err := c.ExecStream(t.Context(), "m", Command{Argv: []string{"x"}}, row.stdout, row.stderr)
		if wantIs(t, err, full); t.Failed() {
			t.Fatal(name)
		}
	}
}

func TestTapKeepsTheEnd(t *testing.T) {
	tp := &tap{}
	for i := range 100 {
		if n, err := tp.Write(bytes.Repeat([]byte{byte(i)}, 10_000)); n != 10_000 || err != nil {
			t.Fatal(n, err)
		}
	}
	if tp.n != 1_000_000 || len(tp.tail) < tailSize || len(tp.tail) > 2*tailSize+10_000 || tp.tail[len(tp.tail)-1] != 99 {
		t.Errorf("%d bytes, %d kept", tp.n, len(tp.tail))
	}
}
