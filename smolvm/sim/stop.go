//go:build linux

package sim

import (
	"errors"
	"path/filepath"
)

func isNotFound(err error, name string) bool {
	var f *failure
	return errors.As(err, &f) && f.text == notFoundError(name).text
}

func runStop(s *session, _ grammar, a arguments) (int, error) {
	name := a.one("name", defaultName)
	m, err := s.load(name)
	if isNotFound(err, name) && !s.StopUnknownFails {
		s.say("Machine '%s' not found or not running", name)
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	switch state := m.state(); state {
	case stateRunning, stateUnreachable:
		return 0, s.stop(m)
	default:
		s.say("Machine '%s' is not running (state: %s)", name, state)
		return 0, nil
	}
}

// stop ends a machine that has processes and records it.
func (s *session) stop(m machine) error {
	s.say("Stopping machine '%s'...", m.Name)
	if err := s.halt(m); err != nil {
		return err
	}
	err := s.store().update(m.Name, func(r *record) { r.State = stateStopped })
	if err != nil && !isNotFound(err, m.Name) {
		return err
	}
	s.say("Stopped machine: %s", m.Name)
	return nil
}

// halt ends a machine's processes, unless faultDeleteLeavesVM asks for a lie.
func (s *session) halt(m machine) error {
	if s.faults.has(faultDeleteLeavesVM) {
		return nil
	}
	return m.halt()
}

// reapOrphans kills the supervisors that a v0.8.0 delete of a running machine left behind under this machine's path.
func (s *session) reapOrphans(m machine) {
	if !s.ReapsOrphans {
		return
	}
	for _, sv := range supervisors(s.dirs.vms) {
		if sv.config == m.file(fileBoot) && sv.orphaned {
			s.note("Killing orphaned _boot-vm process %d", sv.pid)
			sv.kill()
		}
	}
}

// sweep is the hidden command _sweep: it ends every supervisor whose directory is gone. A machine that has its directory is
// left alone, started by whomever.
func (s *session) sweep() (int, error) {
	for _, sv := range supervisors(s.dirs.vms) {
		if sv.orphaned {
			s.say("Killed orphaned _boot-vm process %d (%s)", sv.pid, filepath.Dir(sv.config))
			sv.kill()
		}
	}
	return 0, nil
}
