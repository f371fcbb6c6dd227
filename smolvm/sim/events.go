//go:build linux

package sim

import (
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
)

// runEgressEvents prints what the machine's policy denied since its last start (smolvm v1.8.1).
func runEgressEvents(s *session, _ grammar, a arguments) (int, error) {
	m, err := s.load(a.one("name", defaultName))
	if err != nil {
		return 0, err
	}
	events, err := readDenials(m.file(fileDenials))
	if err != nil {
		return 0, err
	}
	if a.has("json") {
		return 0, s.sayJSON(events)
	}
	if len(events) == 0 {
		s.say("No egress denials recorded for machine '%s'", m.Name)
	}
	for _, e := range events {
		s.say("%s  %-4s  %s", e.Timestamp, e.Operation, e.Dest)
	}
	return 0, nil
}

// readDenials reads a denial log; an absent one is empty. The line that is being written does not count.
func readDenials(path string) ([]denial, error) {
	out := []denial{}
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return out, nil
	}
	if err != nil {
		return nil, agentError("read egress events", "%w", err)
	}
	defer f.Close()
	for lines := json.NewDecoder(f); ; {
		var d denial
		err := lines.Decode(&d)
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return out, nil
		}
		if err != nil {
			return nil, agentError("read egress events", "%w", err)
		}
		out = append(out, d)
	}
}
