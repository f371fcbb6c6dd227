//go:build linux

package sim

import (
	"io"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"
)

func TestExecOnATerminal(t *testing.T) {
	h := newHost(t, newest)
	h.boot()
	for _, c := range []struct{ script, want string }{
		{"tty; stty size; echo err >&2", "/dev/pts/0\r\n24 80\r\nerr\r\n"},
		{"test -t 0 && test -t 1 && test -t 2 && echo all", "all\r\n"},
		{"exec </dev/tty; echo controlling", "controlling\r\n"},
		{"(setsid sleep 60 &); echo over", "over\r\n"},
	} {
		got := h.run("machine", "exec", "--name", "m", "-t", "--", "sh", "-c", c.script)
		if want := (result{c.want, "", 0}); got != want {
			t.Errorf("%q: got %+v, want %+v", c.script, got, want)
		}
	}
	if got := h.run("machine", "exec", "--name", "m", "-it", "--timeout", "100ms", "--", "sleep", "60"); got.code != 124 {
		t.Errorf("--timeout: %+v", got)
	}
	if got := h.run("machine", "exec", "--name", "m", "-it", "--", "sh", "-c", "exit 7"); got.code != 7 {
		t.Errorf("exit code: %+v", got)
	}
}

// The end of the caller's stdin is the end of the guest's input, also to a terminal.
func TestShellReadsToTheEndOfStdin(t *testing.T) {
	h := newHost(t, newest)
	h.boot()
	for _, name := range []string{"shell", "sh"} {
		cmd := h.command("machine", name, "--name", "m")
		cmd.Stdin = strings.NewReader("echo $((6*7)) on $(tty)\nexit 5\n")
		out, _ := cmd.Output()
		if !strings.Contains(string(out), "42 on /dev/pts/") || cmd.ProcessState.ExitCode() != 5 {
			t.Errorf("%s: exit %d, %q", name, cmd.ProcessState.ExitCode(), out)
		}
		cmd = h.command("machine", name, "--name", "m")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%s with nothing to read: %v, %q", name, err, out)
		}
	}
}

// A caller's terminal is raw while the command runs, gives the guest's its size, and is put back after.
func TestExecFromATerminal(t *testing.T) {
	h := newHost(t, newest)
	h.boot()
	master, slave, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer master.Close()
	defer slave.Close()
	if err := pty.Setsize(master, &pty.Winsize{Rows: 33, Cols: 99}); err != nil {
		t.Fatal(err)
	}
	before, err := terminalSettings(slave)
	if err != nil {
		t.Fatal(err)
	}
	cmd := h.command("machine", "exec", "--name", "m", "-it", "--", "sh", "-c", "stty size; read line; echo got $line; trap 'stty size; exit 3' WINCH; echo ready; while :; do sleep 0.05; done")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = slave, slave, slave
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	screen := reading(master)
	screen.until(t, "33 99\r\n")
	if _, err := io.WriteString(master, "typed\r"); err != nil {
		t.Fatal(err)
	}
	screen.until(t, "got typed\r\nready\r\n")
	if err := pty.Setsize(master, &pty.Winsize{Rows: 40, Cols: 120}); err != nil {
		t.Fatal(err)
	}
	// The kernel tells the foreground process group of the terminal; the command has none here.
	if err := cmd.Process.Signal(syscall.SIGWINCH); err != nil {
		t.Fatal(err)
	}
	screen.until(t, "40 120\r\n")
	_ = cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); code != 3 {
		t.Errorf("exit %d", code)
	}
	if after, err := terminalSettings(slave); err != nil || after != before {
		t.Errorf("the caller's terminal was left as %+v, %v; it was %+v", after, err, before)
	}
}

func terminalSettings(f *os.File) (unix.Termios, error) {
	t, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	if err != nil {
		return unix.Termios{}, err
	}
	return *t, nil
}

// A reader collects what a terminal shows.
type reader struct {
	more chan string
	text string
}

func reading(f *os.File) *reader {
	r := &reader{more: make(chan string, 64)}
	go func() {
		buf := make([]byte, 4096)
		for {
			n, err := f.Read(buf)
			if err != nil {
				close(r.more)
				return
			}
			r.more <- string(buf[:n])
		}
	}()
	return r
}

func (r *reader) until(t *testing.T, want string) {
	t.Helper()
	late := time.After(10 * time.Second)
	for !strings.Contains(r.text, want) {
		select {
		case s, ok := <-r.more:
			if !ok {
				t.Fatalf("the terminal closed after %q, before %q", r.text, want)
			}
			r.text += s
		case <-late:
			t.Fatalf("after 10 s: %q, without %q", r.text, want)
		}
	}
}

func TestExecDetached(t *testing.T) {
	h := newHost(t, newest)
	h.boot()
	pid := strings.TrimSpace(h.must("machine", "exec", "--name", "m", "-d", "-e", "MARK=yes", "-w", "/tmp", "--", "sh", "-c", "pwd > /tmp/where; exec sleep 4717"))
	got := ""
	eventually(t, "the command runs", func() bool {
		got = h.guest("cat /tmp/where; tr '\\0' '\\n' < /proc/" + pid + "/cmdline; tr '\\0' '\\n' < /proc/" + pid + "/environ")
		return strings.Contains(got, "sleep\n4717\n")
	})
	if !strings.HasPrefix(got, "/tmp\n") || !strings.Contains(got, "MARK=yes\n") {
		t.Errorf("got %q", got)
	}
	if got := h.run("machine", "exec", "--name", "m", "-d", "--", "nothing-of-that-name"); got.code != 1 || !strings.Contains(got.stderr, "failed to spawn command: No such file or directory (os error 2)") {
		t.Errorf("got %+v", got)
	}
}
