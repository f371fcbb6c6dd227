//go:build linux

package sim

import (
	"context"
	"errors"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"bottle.internal/internal/owner"
)

// runRun is "machine run": a machine for one command, whose output and exit code are the command line's. With --detach the
// machine stays and the command with it.
func runRun(s *session, g grammar, a arguments) (int, error) {
	limit, err := timeout(g, a)
	if err != nil {
		return 0, err
	}
	detached := a.has("detach")
	if len(a.rest) == 0 && !a.has("image") && !a.has("from") {
		return 0, configError("machine run", "no command given and no image whose own could run: add -- COMMAND, or --image")
	}
	name, err := s.runName(a, detached)
	if err != nil {
		return 0, err
	}
	quiet := *s
	quiet.stdout = io.Discard // stdout is the command's
	r, err := quiet.create(name, g, a, func(r *record) error {
		if r.Ephemeral = !detached; r.Ephemeral {
			r.Owner = owner.Self() // swept once this process is gone
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	m := s.machineOf(r)
	if err := s.forgetPolicy(&m, a); err != nil {
		return 0, err
	}
	if detached {
		return 0, s.runDetached(m)
	}
	return s.runEphemeral(m, a, limit)
}

// runName is the machine's name: a random one, or with --detach the default's, whose old machine makes way unless it runs.
func (s *session) runName(a arguments, detached bool) (string, error) {
	if a.has("name") {
		return a.one("name", ""), nil
	}
	if !detached {
		return randomName(), nil
	}
	m, err := s.load(defaultName)
	if err == nil && m.state() != stateRunning {
		return defaultName, s.discard(m)
	}
	return defaultName, nil
}

// forgetPolicy is what a run of an image from the host's cache did before 1.9.0: it ignored the egress policy (#966, #972).
func (s *session) forgetPolicy(m *machine, a arguments) error {
	if !s.CachedRunIgnoresPolicy || !a.has("oci-cache") || !m.Policy {
		return nil
	}
	m.Policy, m.Allow, m.Hosts = false, nil, nil
	return s.store().update(m.Name, func(r *record) { r.Policy, r.Allow, r.Hosts = false, nil, nil })
}

func (s *session) runDetached(m machine) error {
	s.note("Starting persistent machine...")
	m.detached = true
	id, err := s.bringUp(context.Background(), m)
	if err != nil {
		return err
	}
	s.say("Machine '%s' running (PID: %d)", m.Name, id.PID())
	return nil
}

func (s *session) runEphemeral(m machine, a arguments, limit time.Duration) (code int, err error) {
	defer func() { err = errors.Join(err, s.discard(m)) }()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	s.note("Starting ephemeral machine (%s)...", m.Name)
	id, err := s.bringUp(ctx, m)
	if err != nil {
		return 0, err
	}
	m.Owner = id
	defer func() { err = errors.Join(err, m.halt()) }()
	if m, err = s.load(m.Name); err != nil { // with the content that the start found
		return 0, err
	}
	return s.runForeground(ctx, m, a, limit)
}

// runForeground runs the command of an ephemeral machine. A signal ends it.
func (s *session) runForeground(ctx context.Context, m machine, a arguments, limit time.Duration) (int, error) {
	argv := s.runCommand(m.record)
	if len(argv) == 0 {
		return 0, configError("machine run", "image '%s' defines no ENTRYPOINT or CMD; give a command after --", m.Image)
	}
	req := s.guestRequest(m, argv)
	req.Stdin, req.Timeout = a.has("interactive"), limit
	if err := checkEnvironment(req.Env); err != nil {
		return 0, err
	}
	conn, err := m.dial()
	if err != nil {
		return 0, agentError("connect", "%w", err)
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	e := execution{session: s, conn: conn, live: req.Stdin, contained: req.Contained, limit: limit}
	code, err := e.run(req)
	if ctx.Err() != nil {
		return 0, agentError("machine run", "%w", context.Cause(ctx))
	}
	return code, err
}

// runCommand is the argv of a machine run: what was given, else the image's, in every release (smolvm v0.8.0 machine.rs).
func (s *session) runCommand(r record) []string {
	if len(r.Cmd) > 0 {
		return r.Cmd
	}
	if r.Content == nil {
		return nil
	}
	return append(r.Content.Entrypoint[:len(r.Content.Entrypoint):len(r.Content.Entrypoint)], r.Content.Cmd...)
}

// timeout reads --timeout, 0 where it was not given.
func timeout(g grammar, a arguments) (time.Duration, error) {
	if !a.has("timeout") {
		return 0, nil
	}
	text := a.one("timeout", "")
	d, err := parseDuration(text)
	if err != nil {
		return 0, g.invalid("timeout", text, "%v", err)
	}
	return d, nil
}

// sweepEphemeral removes the machines of runs that are gone. Every machine command but run does so first (smolvm v0.8.0
// vm_common.rs).
func (s *session) sweepEphemeral() {
	files, err := filepath.Glob(filepath.Join(s.dirs.records, ephemeralPrefix+"*.json"))
	if err != nil {
		return
	}
	for _, f := range files {
		m, err := s.load(strings.TrimSuffix(filepath.Base(f), ".json"))
		if err == nil && m.Ephemeral && !owner.Alive(m.Owner) {
			_ = s.discard(m)
		}
	}
}

// lockMachine makes a machine's directory, takes the turn to start it and opens its lock.
func (s *session) lockMachine(m machine) (vmLock, error) {
	if err := os.MkdirAll(m.dir, 0o700); err != nil {
		return vmLock{}, agentError("start machine", "create data directory: %w", err)
	}
	turn, err := m.takeTurn()
	if err != nil {
		return vmLock{}, err
	}
	lock, err := openLock(m.file(fileLock))
	if err != nil {
		_ = turn.Close()
		return vmLock{}, agentError("start machine", "lock: %w", err)
	}
	lock.turn = turn
	return lock, nil
}

// bringUp starts a machine that nobody else can know of yet.
func (s *session) bringUp(ctx context.Context, m machine) (owner.ID, error) {
	lock, err := s.lockMachine(m)
	if err != nil {
		return "", err
	}
	defer lock.close()
	if err := s.portsFree(m); err != nil {
		return "", err
	}
	if free, err := lock.try(); err != nil || !free {
		return "", errors.Join(err, errStarting)
	}
	return s.bootUp(ctx, m, lock)
}
