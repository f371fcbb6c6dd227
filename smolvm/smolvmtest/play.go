package smolvmtest

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"bottle.internal/smolvm/internal/wrapper"
)

// program is the name that makes the test binary a fake.
const program = "smolvm"

// ExitUnscripted is the exit code of a call that no reply takes.
const ExitUnscripted = 99

// Main is the body of TestMain: it runs the tests, or, in a process started as "smolvm", the fake. It does not return. handlers are what
// Reply.Handler may name.
func Main(m interface{ Run() int }, handlers ...map[string]Handler) {
	Intercept(handlers...)
	os.Exit(m.Run())
}

// Intercept is Main for a TestMain with more to do: it returns in a test binary and never in a fake. Call it first.
func Intercept(handlers ...map[string]Handler) {
	if filepath.Base(os.Args[0]) != program {
		return
	}
	code, err := play(handlers)
	if err != nil {
		fmt.Fprintf(os.Stderr, "smolvmtest: %v\n", err)
		code = ExitUnscripted
	}
	syscall.Exit(code) // not os.Exit: under -cover that has something to say on stderr
}

func play(handlers []map[string]Handler) (int, error) {
	path, err := exec.LookPath(os.Args[0])
	if err != nil {
		return 0, err
	}
	path, err = filepath.Abs(path)
	if err != nil {
		return 0, err
	}
	state := filepath.Dir(path)
	text, err := os.ReadFile(filepath.Join(state, scriptFile))
	if err != nil {
		return 0, err
	}
	var s script
	if err := json.Unmarshal(text, &s); err != nil {
		return 0, fmt.Errorf("reading %s: %w", scriptFile, err)
	}
	call, err := claim(s, present(state))
	if err != nil {
		return 0, err
	}
	if call.Reply < 0 {
		return 0, fmt.Errorf("unscripted call: %q", call.Argv)
	}
	r := s.Replies[call.Reply]
	if r.Handler != "" {
		h := find(handlers, r.Handler)
		if h == nil {
			return 0, fmt.Errorf("no handler %q was given to Main", r.Handler)
		}
		r = h(call)
	}
	return r.play(call)
}

func find(handlers []map[string]Handler, name string) Handler {
	for _, m := range handlers {
		if h := m[name]; h != nil {
			return h
		}
	}
	return nil
}

// claim records the call with the reply that takes it. The file of records is the count of uses too, and locked meanwhile: several
// fakes may run at once.
func claim(s script, c Call) (Call, error) {
	f, err := os.OpenFile(filepath.Join(c.State, callsFile), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return c, err
	}
	defer func() { _ = f.Close() }()
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		return c, err
	}
	calls, err := readCalls(c.State)
	if err != nil {
		return c, err
	}
	c.Reply = s.choose(c, used(calls))
	line, err := json.Marshal(c)
	if err != nil {
		return c, err
	}
	_, err = f.Write(append(line, '\n'))
	return c, err
}

// place writes the files that the call asks for.
func (r Reply) place(c Call) error {
	if r.Download != "" {
		host, down, _ := c.paths()
		if !down {
			return fmt.Errorf("a download is scripted for %q", c.Argv)
		}
		if err := os.WriteFile(host, []byte(r.Download), 0o600); err != nil {
			return err
		}
	}
	if r.Pack == "" {
		return nil
	}
	at := slices.Index(c.Argv, "-o")
	if at < 0 || at+1 == len(c.Argv) {
		return fmt.Errorf("a pack is scripted for %q", c.Argv)
	}
	return os.WriteFile(c.Argv[at+1]+".smolmachine", []byte(r.Pack), 0o600)
}

func (r Reply) play(c Call) (int, error) {
	if r.Deaf {
		signal.Ignore(os.Interrupt)
	}
	time.Sleep(r.Delay)
	if err := r.place(c); err != nil {
		return 0, err
	}
	if r.Serve != nil {
		if err := r.Serve.run(c); err != nil {
			return 0, err
		}
	}
	stdout, stderr, code := r.Stdout, r.Stderr, r.Exit
	if r.Guest != nil {
		e, ok := c.Exec()
		if !ok {
			return 0, fmt.Errorf("a guest's command is scripted for %q", c.Argv)
		}
		stdout += r.Guest.Stdout
		stderr += r.Guest.Stderr
		if e.Nonce != "" {
			stderr += wrapper.Mark(e.Nonce, r.Guest.Exit)
		}
		code = r.Guest.Exit
	}
	_, _ = os.Stdout.WriteString(stdout) // a reader that has gone is the caller's affair
	_, _ = os.Stderr.WriteString(stderr)
	if r.Signal != 0 {
		signal.Reset(r.Signal)
		if err := syscall.Kill(os.Getpid(), r.Signal); err != nil {
			return 0, err
		}
		time.Sleep(time.Minute) // until it arrives
	}
	return code, nil
}
