package smolvm

import (
	"bufio"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"bottle.internal/smolvm/smolvmtest"
)

// How many commands of one machine are under way at once, by release and kind.
func TestCommandsAtOnce(t *testing.T) {
	for _, row := range []struct {
		name, release string
		made          bool
		o             CreateOptions
		want          int
		primed        bool
	}{
		{"image", "1.4.0", true, CreateOptions{Image: "alpine"}, 1, false},
		{"made elsewhere", "1.4.0", false, CreateOptions{}, 1, false},
		{"bare", "0.8.0", true, CreateOptions{}, maxCommands, false},
		{"image", "1.4.1", true, CreateOptions{Image: "alpine"}, maxCommands, true},
		{"pack", "1.9.3", true, CreateOptions{From: "/p"}, maxCommands, true},
		{"made elsewhere", "1.9.3", false, CreateOptions{}, maxCommands, false},
	} {
		t.Run(row.release+" "+row.name, func(t *testing.T) {
			const n = maxCommands + 2
			fake := smolvmtest.New(t, smolvmtest.Version(row.release), smolvmtest.Reply{Argv: []string{"machine", "create"}, Times: smolvmtest.AnyTimes},
				smolvmtest.Reply{Command: []string{"true"}, Times: smolvmtest.AnyTimes, Guest: &smolvmtest.Guest{}},
				smolvmtest.Reply{Command: []string{"x"}, Times: n, Handler: "counts itself"})
			c := &Client{Path: fake.Path, Logf: t.Logf}
			if row.made {
				if err := c.Create(t.Context(), "m", row.o); err != nil {
					t.Fatal(err)
				}
			}
			var wg sync.WaitGroup
			most := make(chan int, n)
			for range n {
				wg.Go(func() {
					res, err := c.Exec(t.Context(), "m", Command{Argv: []string{"x"}})
					if err != nil {
						t.Error(err)
					}
					most <- int(res.ExitCode)
				})
			}
			wg.Wait()
			close(most)
			if got := slices.Max(collected(most)); got > row.want || row.want == 1 && got != 1 {
				t.Errorf("%d at once, want %d at most", got, row.want)
			}
			if primed := strings.Count(strings.Join(fake.Lines(), "\n"), "-- true"); (primed == 1) != row.primed || primed > 1 {
				t.Errorf("primed %d times", primed)
			}
		})
	}
}

func collected(c chan int) []int {
	var all []int
	for v := range c {
		all = append(all, v)
	}
	return all
}

// A start makes a new container, which has to be made by one command again.
func TestPrimedAfterEachStart(t *testing.T) {
	fake := smolvmtest.New(t, smolvmtest.Version("1.9.3"), smolvmtest.Reply{Argv: []string{"machine", "create"}},
		smolvmtest.Reply{Argv: []string{"machine", "start"}, Times: 2}, smolvmtest.Reply{Command: []string{"true"}, Times: 2, Guest: &smolvmtest.Guest{}},
		smolvmtest.Reply{Command: []string{"x"}, Times: 4, Guest: &smolvmtest.Guest{}})
	c := &Client{Path: fake.Path, Logf: t.Logf}
	if err := c.Create(t.Context(), "m", CreateOptions{Image: "a"}); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := c.Start(t.Context(), "m"); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if _, err := c.Exec(t.Context(), "m", Command{Argv: []string{"x"}}); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// In an image without sh only the waiter can be run, and it makes the container too.
func TestPrimedByTheWaiter(t *testing.T) {
	const waiter = "/bottle-agent"
	for name, run := range map[string]func(*Client, Command) error{
		"exec":        func(c *Client, cmd Command) error { return errOf(c.Exec(t.Context(), "m", cmd)) },
		"interactive": func(c *Client, cmd Command) error { return errOf(c.ExecInteractive(t.Context(), "m", cmd, Terminal{})) },
	} {
		c, fake := scripted(t, "1.9.3", smolvmtest.Reply{}, smolvmtest.Reply{Command: []string{"true"}, Guest: &smolvmtest.Guest{Exit: 127}},
			smolvmtest.Reply{Command: []string{"x"}, Guest: &smolvmtest.Guest{}})
		if err := c.Create(t.Context(), "m", CreateOptions{Image: "a"}); err != nil {
			t.Fatal(err)
		}
		if err := run(c, Command{Argv: []string{"x"}, Waiter: waiter}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		for _, call := range fake.Calls()[2:] {
			if slices.Contains(call.Argv, "sh") || !slices.Contains(call.Argv, waiter) {
				t.Errorf("%s: %q", name, call.Argv)
			}
		}
	}
}

// A machine that another made may have a container to make: the first command is alone in it, for a while.
func TestFirstCommandElsewhere(t *testing.T) {
	fake := smolvmtest.New(t, smolvmtest.Version("1.9.3"), smolvmtest.Reply{Argv: []string{"machine", "exec"}, Times: 2, Handler: "meets nobody"})
	c := &Client{Path: fake.Path, Logf: t.Logf}
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			_, err := c.Exec(t.Context(), "m", Command{Argv: []string{"x"}})
			if e := asError(t, err); e.ExitCode != 0 {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	first := c.machine("n").first
	for _, most := range []time.Duration{time.Millisecond, time.Hour} { // the second comes when the first has had its time
		if _, err := c.open(t.Context(), "n", first, most); err != nil {
			t.Fatal(err)
		}
	}
}

func TestPrimingFails(t *testing.T) {
	c, _ := scripted(t, "1.9.3", smolvmtest.Reply{}, failing("vm not found: m"), failing("vm not found: m"))
	if err := c.Create(t.Context(), "m", CreateOptions{Image: "a"}); err != nil {
		t.Fatal(err)
	}
	for range 2 { // not taken for done
		_, err := c.Exec(t.Context(), "m", Command{Argv: []string{"x"}})
		wantIs(t, err, ErrNotFound)
	}
}

// Who waits for a turn can be called off, wherever it waits.
func TestWaitingForATurnEnds(t *testing.T) {
	c, fake := scripted(t, "0.8.0")
	if _, err := c.Version(t.Context()); err != nil {
		t.Fatal(err)
	}
	key, err := c.stateKey("m")
	if err != nil {
		t.Fatal(err)
	}
	done, err := takeTurn(t.Context(), "exec", key)
	if err != nil {
		t.Fatal(err)
	}
	defer done()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	_, err = c.Exec(ctx, "m", Command{Argv: []string{"x"}})
	wantIs(t, err, context.DeadlineExceeded)
	noCalls(t, fake)
}

// The other holder is a process: this test binary, run again for the test below.
func TestTurnsBetweenProcesses(t *testing.T) {
	if os.Getenv("HOLD_LOCK_OF") != "" {
		return // this is the holder
	}
	cache := t.TempDir()
	t.Setenv("XDG_CACHE_HOME", cache)
	t.Setenv("HOME", cache)
	holder := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestHoldLock$", "-test.v")
	holder.Env = append(os.Environ(), "HOLD_LOCK_OF=k")
	in, err := holder.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := holder.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := holder.Start(); err != nil {
		t.Fatal(err)
	}
	for lines := bufio.NewScanner(out); lines.Scan() && !strings.Contains(lines.Text(), "held"); {
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	_, err = takeTurn(ctx, "start", "k")
	wantIs(t, err, context.DeadlineExceeded)
	_ = in.Close() // lets it go
	done, err := takeTurn(t.Context(), "start", "k")
	if err != nil {
		t.Fatal(err)
	}
	done()
	_ = holder.Wait() // its exit code is its own test's
	if left, _ := filepath.Glob(filepath.Join(cache, "*", "locks", "*")); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
}

func TestHoldLock(t *testing.T) {
	key := os.Getenv("HOLD_LOCK_OF")
	if key == "" {
		return // it is the other process of TestTurnsBetweenProcesses
	}
	done, err := takeTurn(t.Context(), "start", key)
	if err != nil {
		t.Fatal(err)
	}
	os.Stdout.WriteString("held\n")
	_, _ = os.Stdin.Read(make([]byte, 1))
	done()
}
