//go:build linux

package sim

import (
	"errors"
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
	if err != nil {
		return 0, err
	}
	defer lock.close()
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

func (s *session) createDefault() (machine, error) {
	r := record{Name: defaultName, CreatedAt: time.Now().Unix(), State: stateCreated, CPUs: defaultCPUs, MemoryMiB: defaultMemoryMiB}
	return s.machineOf(r), s.store().insert(r)
}

// startLocked is start of a machine whose lock a supervisor holds. It reports whether the lock is ours now: a machine that
// runs is left alone, one whose supervisor no longer answers is ended first.
func (s *session) startLocked(m machine, lock vmLock) (bool, error) {
	switch m.state() {
	case stateRunning:
		s.say("Machine '%s' already running (PID: %d)", m.Name, m.PID)
		return false, nil
	case stateUnreachable:
		if err := m.halt(); err != nil {
			return false, err
		}
		if free, err := lock.try(); err == nil && free {
			return true, nil
		}
	}
	return false, agentError("start machine", "another process is already starting or running this VM")
}

func (s *session) start(m machine, lock vmLock) error {
	s.reapOrphans(m)
	if err := s.portsFree(m); err != nil {
		return err
	}
	s.note("Starting machine '%s'...", m.Name)
	id, err := s.bootUp(m, lock)
	if err != nil {
		return err
	}
	s.say("Machine '%s' running (PID: %d)", m.Name, id.PID())
	return nil
}

// bootUp boots a machine whose lock is held, with what it is made of, and records it.
func (s *session) bootUp(m machine, lock vmLock) (owner.ID, error) {
	if err := s.provide(&m); err != nil {
		return "", err
	}
	id, err := s.boot(m, lock)
	if err != nil {
		return "", err
	}
	m.Owner = id
	if err = s.settleIn(m); err == nil {
		err = s.store().update(m.Name, func(r *record) { r.State, r.PID, r.Owner, r.InitDone = stateRunning, id.PID(), id, true })
	}
	if err != nil {
		// Nothing would know of the guest: it must not outlive this command.
		return "", errors.Join(err, m.halt())
	}
	return id, nil
}
