//go:build linux

package sim

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

// execOutputCap is how much of each stream the agent buffers for an exec without --stream (agent process.rs).
const execOutputCap = 11 << 20

// The exit codes smolvm makes up itself.
const (
	exitTimeout    = 124
	exitSignalBare = 255 // v0.8.0: a status without a code is -1
)

// drainGrace is how long the output of a command that ran into its timeout, or that had a terminal, may stay open.
const drainGrace = time.Second

func runExec(s *session, g grammar, a arguments) (int, error) {
	req := request{Op: opExec, Argv: a.rest, Stdin: a.has("interactive"), Detach: a.has("detach")}
	if a.has("tty") && !req.Detach {
		size := keyboardOf(s.stdin).size()
		req.TTY = &size
	}
	var err error
	if req.Timeout, err = timeout(g, a); err != nil {
		return 0, err
	}
	m, conn, err := s.connect(a.one("name", defaultName))
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	req.Stream = a.has("stream")
	limit := req.Timeout
	if err := s.within(&req, m, environment(a.all("env")), a.one("workdir", "")); err != nil {
		return 0, err
	}
	e := execution{
		session: s, conn: conn, live: req.live(), tty: req.TTY != nil,
		contained: req.Contained, limit: limit,
	}
	return e.run(req)
}

// within gives the command the machine's environment and directory, under its own, and the container it runs in.
func (s *session) within(r *request, m machine, env []string, dir string) error {
	r.Env, r.Dir = env, dir
	s.enter(r, m.record)
	if s.TimeoutIgnored && r.Contained && !r.live() {
		r.Timeout, r.Survives = 0, true
	}
	return checkEnvironment(r.Env)
}

// live reports whether the output comes as it is written, which is another way through the agent than the default one.
func (r *request) live() bool { return r.Stream || r.Stdin || r.TTY != nil }

// An execution is one command in a guest, seen from the host.
type execution struct {
	*session
	conn      *net.UnixConn
	live      bool          // copy the output as it comes instead of at the end
	contained bool          // in a container
	limit     time.Duration // the command's timeout, 0 = none
	tty       bool          // the streams are one terminal
}

// replyGrace is how much longer than the command's timeout the client waits for the agent (smolvm v0.8.0 client.rs).
const replyGrace = 5 * time.Second

var errNoReply = agentError("vm exec", "receive response: %s", rustText(syscall.EAGAIN))

func (e execution) run(req request) (int, error) {
	if e.limit > 0 {
		_ = e.conn.SetReadDeadline(time.Now().Add(e.limit + replyGrace))
	}
	if err := send(e.conn, req); err != nil {
		return 0, agentError("vm exec", "%w", err)
	}
	var first reply
	pipes, err := receive(e.conn, &first)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return 0, errNoReply
	}
	if err != nil {
		return 0, agentError("vm exec", "%w", err)
	}
	defer closeAll(pipes)
	if first.PID != 0 {
		e.say("%d", first.PID)
		return 0, nil
	}
	if !first.Started {
		return e.code(first)
	}
	if req.TTY != nil {
		return e.terminal(pipes)
	}
	if req.Stdin {
		go feed(pipes[0], e.stdin)
		pipes = pipes[1:]
	}
	if len(pipes) != 2 {
		return 0, agentError("vm exec", "the agent sent %d pipes", len(pipes))
	}
	if e.live {
		return e.stream(pipes)
	}
	return e.buffer(pipes)
}

// terminal carries the command's terminal: one stream for stdout and stderr.
func (e execution) terminal(pipes []*os.File) (int, error) {
	if len(pipes) != 1 {
		return 0, agentError("vm exec", "the agent sent %d terminals", len(pipes))
	}
	defer keyboardOf(e.stdin).attach(pipes[0])()
	var wg sync.WaitGroup
	wg.Go(func() { _, _ = io.Copy(e.stdout, pipes[0]) }) // ends with EIO when nobody has the slave open any more
	last, err := e.finish(&wg)
	if err != nil {
		return 0, err
	}
	return e.code(last)
}

// feed copies stdin into the guest's pipe and ends it.
func feed(pipe *os.File, stdin io.Reader) {
	_, _ = io.Copy(pipe, stdin)
	_ = pipe.Close()
}

func (e execution) stream(pipes []*os.File) (int, error) {
	var wg sync.WaitGroup
	wg.Go(func() { _, _ = io.Copy(e.stdout, pipes[0]) })
	wg.Go(func() { _, _ = io.Copy(e.stderr, pipes[1]) })
	last, err := e.finish(&wg)
	if err != nil {
		return 0, err
	}
	return e.code(last)
}

var errOverflow = errors.New("command output exceeded 11534336 bytes. Use streaming exec")

// buffer collects both streams and prints all of stdout, then all of stderr.
func (e execution) buffer(pipes []*os.File) (int, error) {
	var outputs [2]bytes.Buffer
	var overflow [2]bool
	var wg sync.WaitGroup
	for i, pipe := range pipes {
		wg.Go(func() { overflow[i] = e.collect(&outputs[i], pipe) })
	}
	last, err := e.finish(&wg)
	if err != nil {
		return 0, err
	}
	if (overflow[0] || overflow[1]) && e.contained && e.FrameTooLarge {
		return 0, agentError("validate frame", "frame too large: more than %d bytes", execOutputCap)
	}
	if overflow[0] || overflow[1] {
		return 0, agentError("vm exec", "%w", errOverflow)
	}
	_, _ = e.stdout.Write(outputs[0].Bytes())
	_, _ = e.stderr.Write(outputs[1].Bytes())
	return e.code(last)
}

// collect reads up to the cap and closes the pipe, so that a writer of more gets SIGPIPE. It reports whether more than the cap
// is an error in this release and was there.
func (e execution) collect(out *bytes.Buffer, pipe *os.File) bool {
	_, _ = out.ReadFrom(io.LimitReader(pipe, execOutputCap))
	over := false
	if e.OverflowFails && out.Len() == execOutputCap {
		n, _ := pipe.Read(make([]byte, 1))
		over = n > 0
	}
	_ = pipe.Close()
	if over {
		_ = e.conn.CloseRead() // the agent kills the command when its client hangs up
		_ = e.conn.CloseWrite()
	}
	return over
}

// finish waits for the command's end and then for every holder of its output to close it, as smolvm's bare exec does, unless
// the command was killed for its time or what is left of it holds a terminal.
func (e execution) finish(output *sync.WaitGroup) (reply, error) {
	var last reply
	_, err := receive(e.conn, &last)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return last, errNoReply
	}
	drained := make(chan struct{})
	go func() { output.Wait(); close(drained) }()
	if last.TimedOut || e.tty || e.contained {
		grace := drainGrace
		if !last.TimedOut && !e.tty {
			grace = containerDrain
		}
		select {
		case <-drained:
		case <-time.After(grace):
			return last, nil
		}
	}
	<-drained
	if err != nil && !errors.Is(err, io.EOF) {
		return last, agentError("vm exec", "%w", err)
	}
	if err != nil {
		last = reply{Error: "receive response: connection closed by the agent"}
	}
	return last, nil
}

// code is the exit code that a reply means in this release.
func (e execution) code(r reply) (int, error) {
	switch {
	case r.Refused != "":
		fmt.Fprintln(e.stderr, r.Refused)
		return 1, nil
	case r.Error != "" && e.live:
		fmt.Fprintf(e.stderr, "error: %s\n", r.Error)
		return 1, nil
	case r.Error != "":
		return 0, agentError("vm exec", "%s", r.Error)
	case r.TimedOut:
		if e.contained {
			fmt.Fprintf(e.stderr, "container timed out after %dms\n", e.limit.Milliseconds())
		}
		return exitTimeout, nil
	case r.Signal != 0 && (e.SignalAsShell || e.contained):
		return 128 + r.Signal, nil
	case r.Signal != 0:
		return exitSignalBare, nil
	}
	return r.Exit, nil
}
