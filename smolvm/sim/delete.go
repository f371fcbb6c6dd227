//go:build linux

package sim

import (
	"bufio"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

func runDelete(s *session, _ grammar, a arguments) (int, error) {
	name := s.machineName(a, "")
	m, err := s.load(name)
	if err != nil {
		return 0, err
	}
	if state := m.state(); s.DeleteStops && (state == stateRunning || state == stateUnreachable) {
		s.say("Stopping machine '%s'...", name)
		if err := s.halt(m); err != nil {
			return 0, err
		}
		if err := s.store().update(name, func(r *record) { r.State = stateStopped }); err != nil {
			return 0, err
		}
	}
	if !a.has("force") && !s.confirm("Delete machine '%s'? [y/N] ", name) {
		s.say("Cancelled")
		return 0, nil
	}
	return 0, s.remove(m)
}

// confirm asks on stderr; the end of stdin is a no.
func (s *session) confirm(format string, args ...any) bool {
	fmt.Fprintf(s.stderr, format, args...)
	line, _ := bufio.NewReader(s.stdin).ReadString('\n')
	answer := strings.ToLower(strings.TrimSpace(line))
	return answer == "y" || answer == "yes"
}

// remove deletes the directory, then the record. Up to 1.7.1 what could not be removed was only warned of.
func (s *session) remove(m machine) error {
	s.say("Cleaning up data directory for vm: %s", m.Name)
	if s.faults.has(faultDeleteLeavesData) {
		return s.store().remove(m.Name)
	}
	if err := removeTree(m.dir); err != nil {
		if s.DeleteErrorsMatter {
			return agentError("delete machine", "remove data directory: %w", err)
		}
		s.note(" WARN failed to remove data directory %s: %v", m.dir, err)
	}
	if err := s.store().remove(m.Name); err != nil {
		return err
	}
	s.say("Deleted machine: %s", m.Name)
	return nil
}

// removeTree is os.RemoveAll for a tree with directories that their owner may not enter: overlayfs makes one, and so may
// an unprivileged user's guest.
func removeTree(dir string) error {
	if os.RemoveAll(dir) == nil {
		return nil
	}
	_ = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if d != nil && d.IsDir() {
			_ = os.Chmod(path, 0o700) //nolint:gosec // a directory about to be removed
		}
		return nil
	})
	return os.RemoveAll(dir)
}

func runDataDir(s *session, _ grammar, a arguments) (int, error) {
	s.say("%s", s.dirs.vm(s.machineName(a, defaultName)))
	return 0, nil
}
