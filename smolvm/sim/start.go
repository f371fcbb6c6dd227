//go:build linux

package sim

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"time"

	"bottle.internal/internal/owner"
)

func runStart(s *session, _ grammar, a arguments) (int, error) {
	name := a.one("name", defaultName)
	m, err := s.load(name)
	if isNotFound(err, name) && !a.has("name") {
		m, err = s.createDefault()
	}
	if err != nil {
		return 0, err
	}
	lock, err := s.lockMachine(m)
	if errors.Is(err, errStarting) {
		return 0, s.startedElsewhere(name)
	}
	if err != nil {
		return 0, err
	}
	defer lock.close()
	if m, err = s.load(name); err != nil { // as the last start has left it
		return 0, err
	}
	free, err := lock.try()
	if err != nil {
		return 0, agentError("start machine", "lock: %w", err)
	}
	if !free {
		if free, err = s.startLocked(m, lock); err != nil || !free {
			return 0, err
		}
	}
	return 0, s.start(m, lock)
}

// startedElsewhere is start of a machine that another command starts, which may have come to its end by now.
func (s *session) startedElsewhere(name string) error {
	m, err := s.load(name)
	switch {
	case err != nil:
		return err
	case m.state() != stateRunning:
		return errStarting
	}
	s.say("Machine '%s' already running (PID: %d)", m.Name, m.PID)
	return nil
}

func (s *session) createDefault() (machine, error) {
	r := record{Name: defaultName, CreatedAt: time.Now().Unix(), State: stateCreated, CPUs: defaultCPUs, MemoryMiB: defaultMemoryMiB}
	return s.machineOf(r), s.store().insert(r)
}

// startLocked is start of a machine whose lock a supervisor holds. It reports whether the lock is ours now: a machine that
// runs is left alone, one whose supervisor no longer answers is ended first, and so is what an interrupted start has left.
func (s *session) startLocked(m machine, lock vmLock) (bool, error) {
	switch m.state() {
	case stateRunning:
		s.say("Machine '%s' already running (PID: %d)", m.Name, m.PID)
		return false, nil
	case stateUnreachable:
		if err := m.halt(); err != nil {
			return false, err
		}
	default:
		if s.reapOrphans(m) {
			m.awaitUnlock(killGrace)
		}
	}
	if free, err := lock.try(); err == nil && free {
		return true, nil
	}
	return false, errStarting
}

func (s *session) start(m machine, lock vmLock) error {
	s.reapOrphans(m)
	if err := s.portsFree(m); err != nil {
		return err
	}
	s.note("Starting machine '%s'...", m.Name)
	id, err := s.bootUp(context.Background(), m, lock)
	if err != nil {
		return err
	}
	s.say("Machine '%s' running (PID: %d)", m.Name, id.PID())
	return nil
}

// bootUp boots a machine whose lock is held, with what it is made of, and records it. Once it is up, the end of ctx and an interrupt end it;
// an interrupt before is the command's end alone (smolvm v0.8.0 vm_common.rs).
func (s *session) bootUp(ctx context.Context, m machine, lock vmLock) (owner.ID, error) {
	if err := s.provide(&m); err != nil {
		return "", err
	}
	id, err := s.boot(m, lock)
	if err != nil {
		return "", err
	}
	m.Owner = id
	ctx, disarm := signal.NotifyContext(ctx, os.Interrupt)
	defer disarm()
	defer context.AfterFunc(ctx, func() { _ = m.halt() })() // settling in ends with the guest
	if err = s.settleIn(m); err == nil && ctx.Err() == nil {
		err = s.store().update(m.Name, func(r *record) { r.State, r.PID, r.Owner, r.InitDone = stateRunning, id.PID(), id, true })
	}
	if ctx.Err() != nil {
		err = agentError("start machine", "interrupted")
	}
	if err != nil {
		// Nothing would know of the guest: it must not outlive this command.
		return "", errors.Join(err, m.halt())
	}
	return id, nil
}
