package smolvm

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"bottle.internal/smolvm/smolvmtest"
	"github.com/google/go-cmp/cmp"
)

func TestExec(t *testing.T) {
	c, fake := scripted(t, "1.9.3",
		smolvmtest.Reply{Handler: "binary"})
	res, err := c.Exec(t.Context(), "m", Command{Argv: []string{"cmd", "--", "x y"}, Env: []string{"A=1"}, Dir: "/tmp", Timeout: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	want := Result{Stdout: []byte("out\x00\xff"), Stderr: []byte(" WARN smolvm: slow\nerr"), ExitCode: 3}
	if diff := cmp.Diff(want, res); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	wantLines(t, fake, "machine exec --name m --stream -w /tmp -e A=1 --timeout 60s -- cmd -- x y")
}

// What the guest's command did is a Result, whatever smolvm would mean by the same code.
func TestExecGuestCodes(t *testing.T) {
	for _, code := range []int{0, 1, 2, 124, 127, 137, 255} {
		c, _ := scripted(t, "0.8.0", smolvmtest.Reply{Guest: &smolvmtest.Guest{Stderr: "Error: vm not found: m\n", Exit: code}})
		res, err := c.Exec(t.Context(), "m", Command{Argv: []string{"x"}, Timeout: time.Millisecond})
		if err != nil || res.ExitCode != code || res.Retries != nil {
			t.Errorf("code %d: %+v, %v", code, res, err)
		}
	}
}

// No report, no result: above all not for exit 0.
func TestExecWithoutReport(t *testing.T) {
	for name, row := range map[string]struct {
		reply smolvmtest.Reply
		want  error
	}{
		"exit 0":                 {smolvmtest.Reply{Stdout: "fine"}, errNoReport},
		"exit 7":                 {smolvmtest.Reply{Exit: 7}, errNoReport},
		"not found":              {failing("vm not found: m"), ErrNotFound},
		"not running":            {failing("agent operation failed: connect: machine 'm' is not running. Use …"), ErrNotRunning},
		"usage":                  {smolvmtest.Reply{Exit: 2, Stderr: "error: unexpected argument\n"}, ErrUsage},
		"someone else's":         {smolvmtest.Reply{Stderr: "\nsmolvm-0123:0\n"}, errNoReport},
		"124 too early":          {smolvmtest.Reply{Exit: 124}, errNoReport},
		"report, then it failed": {smolvmtest.Reply{Handler: "report 0, exit 1"}, ErrNotRunning},
	} {
		t.Run(name, func(t *testing.T) {
			c, _ := scripted(t, "1.9.3", row.reply)
			res, err := c.Exec(t.Context(), "m", Command{Argv: []string{"x"}, Timeout: time.Hour})
			wantIs(t, err, row.want)
			e := asError(t, err)
			if errors.Is(err, context.DeadlineExceeded) || res.ExitCode != e.ExitCode || string(res.Stdout) != row.reply.Stdout {
				t.Errorf("%+v, %v", res, err)
			}
			if strings.Contains(e.Stderr, "\nsmolvm-") != (name == "someone else's") {
				t.Errorf("stderr %q", e.Stderr)
			}
		})
	}
}

func handlers() map[string]smolvmtest.Handler {
	return map[string]smolvmtest.Handler{
		// The guest's command ended well, and then the connection broke.
		"report 0, exit 1": func(c smolvmtest.Call) smolvmtest.Reply {
			e, _ := c.Exec()
			return smolvmtest.Reply{Exit: 1, Stderr: fmt.Sprintf("\n%s:0\nerror: machine 'm' is not running\n", e.Nonce)}
		},
		"remove the target": func(c smolvmtest.Call) smolvmtest.Reply {
			_ = os.Remove(c.Argv[len(c.Argv)-1])
			return smolvmtest.Reply{}
		},
		"12 MiB": func(smolvmtest.Call) smolvmtest.Reply {
			return smolvmtest.Reply{Guest: &smolvmtest.Guest{Stdout: strings.Repeat("x", twelveMiB)}}
		},
		"binary": func(smolvmtest.Call) smolvmtest.Reply {
			return smolvmtest.Reply{Stderr: " WARN smolvm: slow\n", Guest: &smolvmtest.Guest{Stdout: "out\x00\xff", Stderr: "err", Exit: 3}}
		},
		"flood": func(smolvmtest.Call) smolvmtest.Reply {
			return smolvmtest.Reply{Stdout: strings.Repeat("x", maxOutput+1), Delay: time.Millisecond}
		},
	}
}

func TestExecRetriesOnce(t *testing.T) {
	races := map[string]smolvmtest.Reply{
		"137 at once": {Exit: 137},
		"config race": failing("agent operation failed: vm exec: load config.json: trailing garbage"),
	}
	good := smolvmtest.Reply{Guest: &smolvmtest.Guest{Stdout: "ok"}}
	for name, race := range races {
		t.Run(name, func(t *testing.T) {
			var log strings.Builder
			c, fake := scripted(t, "0.8.0", race, good)
			c.Logf = func(format string, args ...any) { fmt.Fprintf(&log, format+"\n", args...) }
			res, err := c.Exec(t.Context(), "m", Command{Argv: []string{"x"}})
			if err != nil || string(res.Stdout) != "ok" || len(res.Retries) != 1 || res.Retries[0] == "" {
				t.Errorf("%+v, %v", res, err)
			}
			if len(fake.Lines()) != 2 || !strings.Contains(log.String(), "once more") {
				t.Errorf("%d attempts, log:\n%s", len(fake.Lines()), log.String())
			}
		})
		t.Run(name+" twice", func(t *testing.T) {
			c, _ := scripted(t, "0.8.0", race, race)
			res, err := c.Exec(t.Context(), "m", Command{Argv: []string{"x"}})
			if _ = asError(t, err); len(res.Retries) != 1 {
				t.Errorf("%+v, %v", res, err)
			}
		})
	}
}

// A command that had time to do something is not run again.
func TestExecKilledLateIsNotRepeated(t *testing.T) {
	cmd := Command{Argv: []string{"x"}}
	late := outcome{exit: 137, elapsed: raceWindow}
	if why := lost(late.failure(cmd.meaning(late))); why != "" {
		t.Errorf("it is repeated: %s", why)
	}
	early := outcome{exit: 137, elapsed: raceWindow - 1}
	if why := lost(early.failure(cmd.meaning(early))); why == "" {
		t.Error("killed at once, and not repeated")
	}
}

func TestExecRetryStopsWithContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	c, _ := scripted(t, "0.8.0", smolvmtest.Reply{Exit: 137})
	c.Logf = func(format string, _ ...any) {
		if strings.Contains(format, "once more") {
			cancel()
		}
	}
	res, err := c.Exec(ctx, "m", Command{Argv: []string{"x"}})
	if _ = asError(t, err); res.Retries != nil {
		t.Errorf("%+v, %v", res, err)
	}
}

func TestExecTimeouts(t *testing.T) {
	t.Run("in the guest", func(t *testing.T) {
		c, _ := scripted(t, "1.9.3", smolvmtest.Reply{Exit: 124, Delay: 30 * time.Millisecond, Stdout: "so far", Stderr: "command timed out after 20ms\n"})
		res, err := c.Exec(t.Context(), "m", Command{Argv: []string{"x"}, Timeout: 20 * time.Millisecond})
		wantIs(t, err, context.DeadlineExceeded)
		if e := asError(t, err); e.ExitCode != 124 || string(res.Stdout) != "so far" {
			t.Errorf("%+v, %v", res, err)
		}
	})
	t.Run("smolvm gives up on the guest", func(t *testing.T) {
		cmd := Command{Timeout: time.Second}
		wantIs(t, cmd.meaning(outcome{exit: 1, elapsed: 6 * time.Second}), context.DeadlineExceeded)
		wantIs(t, cmd.meaning(outcome{exit: 1, elapsed: 5 * time.Second}), errNoReport)
	})
	t.Run("of the context", func(t *testing.T) {
		c, _ := scripted(t, "1.9.3", smolvmtest.Reply{Delay: time.Minute})
		if _, err := c.Version(t.Context()); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		began := time.Now()
		_, err := c.Exec(ctx, "m", Command{Argv: []string{"x"}})
		wantIs(t, err, context.DeadlineExceeded)
		if e := asError(t, err); e.ExitCode != -1 || time.Since(began) > 4*time.Second {
			t.Errorf("%v after %s", err, time.Since(began))
		}
	})
	t.Run("limits", func(t *testing.T) {
		for timeout, want := range map[time.Duration]time.Duration{0: noLimit, time.Second: 11 * time.Second, noLimit - 1: noLimit} {
			if got := (Command{Timeout: timeout}).limit(); got != want {
				t.Errorf("timeout %s: limit %s, want %s", timeout, got, want)
			}
		}
	})
}

func TestExecConcurrently(t *testing.T) {
	const n = 6
	replies := []smolvmtest.Reply{smolvmtest.Version("1.9.3")}
	for i := range n {
		replies = append(replies, smolvmtest.Reply{Command: []string{"cmd", fmt.Sprint(i)}, Guest: &smolvmtest.Guest{Stdout: fmt.Sprint(i), Exit: i}})
	}
	fake := smolvmtest.New(t, replies...)
	c := &Client{Path: fake.Path}
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			res, err := c.Exec(t.Context(), "m", Command{Argv: []string{"cmd", fmt.Sprint(i)}})
			if err != nil || res.ExitCode != i || string(res.Stdout) != fmt.Sprint(i) {
				t.Errorf("%d: %+v, %v", i, res, err)
			}
		})
	}
	wg.Wait()
}

func TestExecInvalid(t *testing.T) {
	ok := []string{"true"}
	for name, cmd := range map[string]Command{
		"no argv":           {},
		"empty program":     {Argv: []string{""}},
		"NUL in argv":       {Argv: []string{"echo", "a\x00b"}},
		"not UTF-8":         {Argv: []string{"echo", "\xff"}},
		"negative timeout":  {Argv: ok, Timeout: -1},
		"relative dir":      {Argv: ok, Dir: "tmp"},
		"dir that climbs":   {Argv: ok, Dir: "/a/../b"},
		"env without =":     {Argv: ok, Env: []string{"A"}},
		"env without a key": {Argv: ok, Env: []string{"=1"}},
		"env, bad key":      {Argv: ok, Env: []string{"1A=1"}},
		"env, NUL":          {Argv: ok, Env: []string{"A=\x00"}},
		"env, not UTF-8":    {Argv: ok, Env: []string{"A=\xff"}},
		"env, too long":     {Argv: ok, Env: []string{"A=" + strings.Repeat("x", maxEnvValue+1)}},
	} {
		c, fake := scripted(t, "1.9.3")
		_, err := c.Exec(t.Context(), "m", cmd)
		if wantIs(t, err, ErrInvalid); t.Failed() {
			t.Fatal(name)
		}
		noCalls(t, fake)
	}
}

func TestOutputLimit(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: writes 64 MiB through a pipe")
	}
	c, _ := scripted(t, "1.9.3", smolvmtest.Reply{Handler: "flood"})
	_, err := c.Exec(t.Context(), "m", Command{Argv: []string{"yes"}})
	wantIs(t, err, ErrOutputLimit)
	if errors.Is(err, context.Canceled) {
		t.Errorf("%v is a cancellation", err)
	}
}

func TestCapture(t *testing.T) {
	fulls := 0
	c := &capture{full: func() { fulls++ }}
	chunk := bytes.Repeat([]byte("x"), maxOutput/2)
	for range 2 {
		if _, err := c.Write(chunk); err != nil || fulls != 0 {
			t.Fatalf("full early: %v", err)
		}
	}
	_, err := c.Write([]byte("y"))
	if wantIs(t, err, ErrOutputLimit); fulls != 1 || c.got.Len() != maxOutput {
		t.Errorf("full %d times with %d bytes", fulls, c.got.Len())
	}
}

// An interrupt first; smolvm's own cleanup hangs on it. The kill comes after Grace, and only then.
func TestCancelInterruptsThenKills(t *testing.T) {
	c, _ := scripted(t, "1.9.3", smolvmtest.Reply{Delay: time.Minute, Deaf: true}, smolvmtest.Reply{Delay: time.Minute})
	if _, err := c.Version(t.Context()); err != nil {
		t.Fatal(err)
	}
	c.Grace = 400 * time.Millisecond
	const patience = 2 * time.Second // a fake that is not up yet is not deaf yet
	for _, want := range []struct {
		signal  string
		atLeast time.Duration
	}{{"killed", c.Grace}, {"interrupted", 0}} {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		began := time.Now()
		err := c.Stop(ctx, "m")
		cancel()
		wantIs(t, err, context.DeadlineExceeded)
		took := time.Since(began) - patience
		if e := asError(t, err); e.ExitCode != -1 || took < want.atLeast || took > want.atLeast+5*time.Second {
			t.Errorf("%s: %v after %s more", want.signal, err, took)
		}
	}
}

func TestKilledFromOutside(t *testing.T) {
	c, _ := scripted(t, "1.9.3", smolvmtest.Reply{Signal: syscall.SIGKILL})
	err := c.Stop(t.Context(), "m")
	if e := asError(t, err); e.ExitCode != -1 || e.Err == nil || !strings.Contains(e.Error(), "killed") {
		t.Errorf("%v", err)
	}
}

func TestCauseDoesNotHideTheDeadline(t *testing.T) {
	why := errors.New("the suite is over")
	ctx, cancel := context.WithTimeoutCause(t.Context(), time.Millisecond, why)
	defer cancel()
	<-ctx.Done()
	c, _ := scripted(t, "1.9.3")
	_, err := c.List(ctx)
	wantIs(t, err, context.DeadlineExceeded)
	wantIs(t, err, why)
}
