package daemon

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"bottle.internal/internal/echo"
)

// TestMain makes the test binary play the other programs: bottle-bundle itself where it is called by that name or asked for
// a daemon, and scripted children to supervise.
func TestMain(m *testing.M) {
	if filepath.Base(os.Args[0]) == "bottle-bundle" || len(os.Args) > 1 && os.Args[1] == "daemon" {
		os.Exit(Main(os.Args[1:], os.Getenv, os.Stdin, os.Stdout, os.Stderr))
	}
	if len(os.Args) > 1 && os.Args[1] == "supervise" {
		os.Exit(superviseFakes(os.Args[2:]))
	}
	if len(os.Args) > 1 && os.Args[1] == "fake" {
		os.Exit(fake(os.Args[2:]))
	}
	os.Exit(m.Run())
}

// noSleep keeps the race detector from sleeping for a second at every exit.
const noSleep = "GORACE=atexit_sleep_ms=0"

// superviseFakes runs a Supervisor over children given as NAME=ADDR=BEHAVIOUR.
func superviseFakes(specs []string) int {
	becomeSubreaper()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	exe, _ := os.Executable()
	s := Supervisor{Log: os.Stdout}
	for _, spec := range specs {
		f := strings.Split(spec, "=")
		s.Daemons = append(s.Daemons, Child{
			Name: f[0], Argv: []string{exe, "fake", f[0], f[1], f[2]}, Env: []string{"ONLY=" + f[0], noSleep}, Echo: netip.MustParseAddrPort(f[1]),
		})
	}
	if err := s.Run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// fake is a supervised child: it says so, answers echoes at its address, and has one peculiarity.
func fake(args []string) int {
	name, addr, behaviour := args[0], args[1], args[2]
	fmt.Println("env", os.Environ())
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	switch behaviour {
	case "stillborn":
		return 3
	case "stubborn":
		signal.Ignore(syscall.SIGTERM)
		ctx = context.Background()
	case "orphans": // the middle process ends at once, its child is the supervisor's then
		_ = exec.Command("/bin/sh", "-c", "(sleep 0.05; true) & (sleep 0.05; false) & exit 0").Run()
	}
	l, err := net.Listen("tcp4", addr)
	if err != nil {
		fmt.Println(err)
		return 1
	}
	go func() { _ = answerAll(l, echo.Secret{}, newJournal(io.Discard, name)) }()
	<-ctx.Done()
	fmt.Println("asked to end")
	return 0
}

// freeAddr is a loopback address that nothing listens on for now.
func freeAddr(t *testing.T) netip.AddrPort {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return addrPortOf(l.Addr())
}

// A run is a process under test and the lines it has printed so far.
type run struct {
	t      *testing.T
	cmd    *exec.Cmd
	mu     sync.Mutex
	lines  []string
	stderr bytes.Buffer
	done   chan struct{}
}

// start starts the test binary in another role; the process is gone at the test's end.
func start(t *testing.T, env []string, argv0 string, args ...string) *run {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	r := &run{t: t, cmd: exec.Command(exe, args...), done: make(chan struct{})}
	r.cmd.Args[0], r.cmd.Env, r.cmd.Stderr = argv0, append([]string{noSleep}, env...), &r.stderr
	r.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	out, err := r.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := r.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		for sc := bufio.NewScanner(out); sc.Scan(); {
			r.mu.Lock()
			r.lines = append(r.lines, sc.Text())
			r.mu.Unlock()
		}
		_ = r.cmd.Wait()
		close(r.done)
	}()
	t.Cleanup(func() {
		_ = syscall.Kill(-r.cmd.Process.Pid, syscall.SIGKILL)
		<-r.done
	})
	return r
}

func (r *run) log() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return strings.Join(r.lines, "\n")
}

// waitLine waits for a line that contains text.
func (r *run) waitLine(text string) string {
	r.t.Helper()
	deadline := time.Now().Add(15 * time.Second)
	for time.Now().Before(deadline) {
		for _, l := range strings.Split(r.log(), "\n") {
			if strings.Contains(l, text) {
				return l
			}
		}
		time.Sleep(2 * time.Millisecond)
	}
	r.t.Fatalf("no line with %q within 15 s; stdout:\n%s\nstderr:\n%s", text, r.log(), r.stderr.String())
	return ""
}

// end waits for the process and returns its exit code and how long that took.
func (r *run) end() (int, time.Duration) {
	r.t.Helper()
	begin := time.Now()
	select {
	case <-r.done:
	case <-time.After(15 * time.Second):
		r.t.Fatalf("still running after 15 s; stdout:\n%s", r.log())
	}
	return r.cmd.ProcessState.ExitCode(), time.Since(begin)
}
