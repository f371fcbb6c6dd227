//go:build linux

package sim

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
)

// workload is the argv that a start launches: a pack's or an image's entrypoint and command, what create was given before them. It
// is nil for a machine without any, and what that means is the release's.
func (s *session) workload(r record) []string {
	entrypoint, cmd := r.Entrypoint, r.Cmd
	if c := r.Content; c != nil && r.contained() && (r.Pack != "" || s.LaunchesImage) {
		if len(entrypoint) == 0 {
			entrypoint = c.Entrypoint
		}
		if len(cmd) == 0 {
			cmd = c.Cmd
		}
	}
	return slices.Concat(entrypoint, cmd)
}

// settleIn runs a booted machine's init commands and its workload. A start that fails in it stops the machine again.
func (s *session) settleIn(m machine) error {
	if !m.InitDone {
		for _, command := range m.Init {
			if err := s.runInit(m, command); err != nil {
				return err
			}
		}
	}
	if m.Ephemeral {
		return nil // its workload is the command that it was made for
	}
	argv := s.workload(m.record)
	switch {
	case len(argv) > 0 && (m.contained() || m.detached):
		return s.launch(m, argv)
	case len(argv) > 0:
		return s.runInline(m, argv)
	case m.contained() && m.Pack == "" && s.LaunchesImage && !s.ImageBootsBare:
		return agentError("start machine", "image '%s' defines no ENTRYPOINT or CMD; give a command after --", m.Image)
	}
	return nil
}

// guestRequest is a request of the machine's own, as an exec without flags would make it.
func (s *session) guestRequest(m machine, argv []string) request {
	req := request{Op: opExec, Argv: argv}
	s.enter(&req, m.record)
	if m.Content != nil && m.contained() {
		req.User = m.Content.User
	}
	return req
}

// runInit runs one --init command to its end. What it prints is shown if it fails.
func (s *session) runInit(m machine, command string) error {
	var out bytes.Buffer
	quiet := *s
	quiet.stdout, quiet.stderr = &out, &out
	code, err := quiet.inGuest(m, s.guestRequest(m, []string{"sh", "-c", command}))
	if err == nil && code != 0 {
		err = fmt.Errorf("exit %d: %s", code, strings.TrimSpace(out.String()))
	}
	if err != nil {
		return agentError("init", "command '%s' failed: %w", command, err)
	}
	return nil
}

// runInline is a bare machine's workload: start waits for it, and its output is mixed into start's (smolvm v0.8.0 vm_common.rs).
func (s *session) runInline(m machine, argv []string) error {
	mixed := *s
	mixed.stderr = s.stdout
	code, err := mixed.inGuest(m, s.guestRequest(m, argv))
	if err == nil && code != 0 {
		s.note(" WARN workload exited with %d", code)
	}
	return err
}

// inGuest runs one command in a machine that this process has just booted.
func (s *session) inGuest(m machine, req request) (int, error) {
	conn, err := m.dial()
	if err != nil {
		return 0, agentError("connect", "%w", err)
	}
	defer conn.Close()
	return execution{session: s, conn: conn, contained: req.Contained}.run(req)
}

// launch starts a command and leaves it running.
func (s *session) launch(m machine, argv []string) error {
	conn, err := m.dial()
	if err != nil {
		return agentError("connect", "%w", err)
	}
	defer conn.Close()
	req := s.guestRequest(m, argv)
	req.Detach, req.Alone = true, false
	if err := send(conn, req); err != nil {
		return agentError("start machine", "%w", err)
	}
	var r reply
	if _, err := receive(conn, &r); err != nil {
		return agentError("start machine", "%w", err)
	}
	if why := r.Refused + r.Error; why != "" {
		return agentError("start machine", "launch workload: %s", why)
	}
	return nil
}
