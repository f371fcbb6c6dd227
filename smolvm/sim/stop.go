//go:build linux

package sim

import (
	"errors"
	"os"
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
		s.reapLeft(m)
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

// reapOrphans kills this machine's supervisors, and reports whether there were any: what a v0.8.0 delete of a running machine has left, or
// an interrupted start. The caller has the machine's turn, and knows that it does not run.
func (s *session) reapOrphans(m machine) (found bool) {
	if !s.ReapsOrphans {
		return false
	}
	for _, sv := range supervisors(s.dirs.vms) {
		if sv.config == m.file(fileBoot) {
			s.note("Killing orphaned _boot-vm process %d", sv.pid)
			sv.kill()
			found = true
		}
	}
	return found
}

// reapLeft is reapOrphans for a stop of a machine that does not run. What another command is starting is left alone.
func (s *session) reapLeft(m machine) {
	if s.faults.has(faultDeleteLeavesVM) {
		return
	}
	turn, err := m.takeTurn()
	if err != nil {
		return
	}
	defer turn.Close()
	if m.unrecorded(s) {
		s.reapOrphans(m)
	}
}

// unrecorded reports whether the machine is on record, and not as running.
func (m machine) unrecorded(s *session) bool {
	now, err := s.load(m.Name)
	return err == nil && now.dir == m.dir && now.State != stateRunning
}

// sweep is the hidden command _sweep: it ends every supervisor whose directory is gone, or whose machine is on record as not running while
// nobody starts it. Any other machine is left alone, started by whomever.
func (s *session) sweep() (int, error) {
	for _, sv := range supervisors(s.dirs.vms) {
		if sv.orphaned {
			s.endOrphan(sv)
			continue
		}
		dir := filepath.Dir(sv.config)
		name, err := os.ReadFile(filepath.Join(dir, fileName))
		m := machine{record: record{Name: string(name)}, dir: dir}
		turn, errTurn := m.takeTurn()
		if err != nil || errTurn != nil {
			continue
		}
		if m.unrecorded(s) {
			s.endOrphan(sv)
		}
		_ = turn.Close()
	}
	return 0, nil
}

func (s *session) endOrphan(sv supervisor) {
	s.say("Killed orphaned _boot-vm process %d (%s)", sv.pid, filepath.Dir(sv.config))
	sv.kill()
}
