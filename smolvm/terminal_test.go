package smolvm

import (
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"bottle.internal/smolvm/smolvmtest"
)

func TestExecInteractiveThroughPipes(t *testing.T) {
	file := hostFile(t, filepath.Join(t.TempDir(), "f"), "from a file", 0o600)
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for want, stdin := range map[string]io.Reader{"from a reader": strings.NewReader("from a reader"), "from a file": f, "": nil} {
		c, fake := scripted(t, "1.9.3", smolvmtest.Reply{Handler: "echoes stdin"})
		var stdout, stderr bytes.Buffer
		res, err := c.ExecInteractive(t.Context(), "m", Command{Argv: []string{"cat"}}, Terminal{Stdin: stdin, Stdout: &stdout, Stderr: &stderr})
		if err != nil || res.ExitCode != 7 || stdout.String() != want || stderr.String() != "<nil>" {
			t.Errorf("%+v, %v, stdout %q, stderr %q", res, err, stdout.String(), stderr.String())
		}
		wantLines(t, fake, "machine exec --name m -i -- cat")
		if e, _ := fake.Calls()[1].Exec(); !e.Interactive || e.TTY {
			t.Errorf("%+v", e)
		}
	}
}

// A reader that never ends does not keep the call from ending.
func TestExecInteractiveEndsBeforeStdin(t *testing.T) {
	r, w := io.Pipe()
	defer w.Close()
	c, _ := scripted(t, "1.9.3", smolvmtest.Reply{Guest: &smolvmtest.Guest{Exit: 3}})
	res, err := c.ExecInteractive(t.Context(), "m", Command{Argv: []string{"x"}}, Terminal{Stdin: r})
	if err != nil || res.ExitCode != 3 {
		t.Errorf("%+v, %v", res, err)
	}
}

// What was read is gone: a command that was lost is not run again.
func TestExecInteractiveIsNotRepeated(t *testing.T) {
	c, fake := scripted(t, "1.9.3", smolvmtest.Reply{Exit: 137})
	_, err := c.ExecInteractive(t.Context(), "m", Command{Argv: []string{"x"}}, Terminal{Stdin: strings.NewReader("x")})
	wantIs(t, err, errKilledAtOnce)
	if n := len(fake.Lines()); n != 1 {
		t.Errorf("%d calls", n)
	}
}

// With a terminal the exit code is smolvm's, and its own failures are on stderr alone.
func TestExecInteractiveOnTerminal(t *testing.T) {
	for name, row := range map[string]struct {
		reply smolvmtest.Reply
		code  int
		want  error
		fails bool
	}{
		"ends well":             {smolvmtest.Reply{Guest: &smolvmtest.Guest{Stdout: "hello"}}, 0, nil, false},
		"fails":                 {smolvmtest.Reply{Guest: &smolvmtest.Guest{Stdout: "Error: vm not found: m\n", Exit: 1}}, 1, nil, false},
		"exits with 137":        {smolvmtest.Reply{Guest: &smolvmtest.Guest{Exit: 137}}, 137, nil, false},
		"exits with 124":        {smolvmtest.Reply{Guest: &smolvmtest.Guest{Exit: 124}}, 124, nil, false},
		"smolvm fails":          {failing("vm not found: m"), 1, ErrNotFound, true},
		"smolvm fails, unknown": {failing("something"), 1, errNoReport, true},
	} {
		t.Run(name, func(t *testing.T) {
			master, slave := openTerminal(t)
			defer master.Close()
			defer slave.Close()
			c, fake := scripted(t, "1.9.3", row.reply)
			var stdout, stderr bytes.Buffer
			res, err := c.ExecInteractive(t.Context(), "m", Command{Argv: []string{"x", "y z"}}, Terminal{Stdin: slave, Stdout: &stdout, Stderr: &stderr})
			if wantIs(t, err, row.want); res.ExitCode != row.code || (err != nil) != row.fails {
				t.Errorf("%+v, %v", res, err)
			}
			if row.reply.Guest != nil && stdout.String() != row.reply.Guest.Stdout || stderr.String() != row.reply.Stderr {
				t.Errorf("stdout %q, stderr %q", stdout.String(), stderr.String())
			}
			wantLines(t, fake, "machine exec --name m -i -t -- x y z")
			if call := fake.Calls()[1]; call.Apart {
				t.Error("in a process group of its own: a terminal stops who reads it from there")
			}
		})
	}
}

func TestExecInteractiveWithoutShell(t *testing.T) {
	master, slave := openTerminal(t)
	defer master.Close()
	defer slave.Close()
	c, fake := scripted(t, "1.9.3", smolvmtest.Reply{Guest: &smolvmtest.Guest{Exit: 3}})
	res, err := c.ExecInteractive(t.Context(), "m", Command{Argv: []string{"/x", "y"}, Waiter: "/w"}, Terminal{Stdin: slave, Stdout: io.Discard})
	if got := fake.Calls()[1].Argv; err != nil || res.ExitCode != 3 || !slices.Equal(got[len(got)-3:], []string{"--", "/x", "y"}) {
		t.Errorf("%+v, %v, %q", res, err, got)
	}
}

// A smolvm that is ended while it has the terminal in raw mode leaves it so; who called gets it back as it was.
func TestExecInteractiveGivesTheTerminalBack(t *testing.T) {
	master, slave := openTerminal(t)
	defer master.Close()
	defer slave.Close()
	before, _ := termios(slave)
	c, _ := scripted(t, "1.9.3", smolvmtest.Reply{Handler: "leaves its terminal raw"})
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		defer cancel()
		for now := before; now == before && pauseFor(ctx, time.Millisecond); {
			now, _ = termios(slave)
		}
	}()
	defer cancel()
	_, err := c.ExecInteractive(ctx, "m", Command{Argv: []string{"x"}}, Terminal{Stdin: slave, Stdout: io.Discard})
	wantIs(t, err, context.Canceled)
	if after, _ := termios(slave); after != before {
		t.Errorf("%+v, before %+v", after, before)
	}
}

func TestIsTerminal(t *testing.T) {
	master, slave := openTerminal(t)
	defer master.Close()
	defer slave.Close()
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	if !isTerminal(slave) || isTerminal(null) {
		t.Errorf("a terminal: %t, %s: %t", isTerminal(slave), os.DevNull, isTerminal(null))
	}
	if (Terminal{Stdin: (*os.File)(nil)}).own() != nil {
		t.Error("a nil file is a terminal")
	}
}
