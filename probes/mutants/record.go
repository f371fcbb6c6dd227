package mutants

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// A Record is what is on file about one version of the kit: by probe id, the mutants that the probe told apart. It is control C5.
type Record struct {
	Kit   string              `json:"kit"`
	Kills map[string][]string `json:"kills"`
}

// Record is what the matrix has to say to control C5.
func (m Matrix) Record() Record { return Record{Kit: m.Kit, Kills: m.Kills()} }

// Write puts the record into dir under the kit's name, whole or not at all.
func (r Record) Write(dir string) error {
	if r.Kit == "" {
		return errors.New("mutants: a record without a kit is about nothing")
	}
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil { //nolint:gosec // nothing secret
		return err
	}
	tmp := filepath.Join(dir, fmt.Sprintf(".%s-%d", r.Kit, os.Getpid()))
	if err := os.WriteFile(tmp, append(text, '\n'), 0o644); err != nil { //nolint:gosec // nothing secret
		return err
	}
	return os.Rename(tmp, filepath.Join(dir, file(r.Kit)))
}

// ReadRecord is what is on file in dir, the root of a file system, about kit; the zero Record, without an error, if nothing is.
func ReadRecord(dir fs.FS, kit string) (Record, error) {
	text, err := fs.ReadFile(dir, file(kit))
	if errors.Is(err, fs.ErrNotExist) {
		return Record{}, nil
	}
	var r Record
	if err == nil {
		err = json.Unmarshal(text, &r)
	}
	if err == nil && r.Kit != kit {
		err = fmt.Errorf("it is about kit %q", r.Kit)
	}
	if err != nil {
		return Record{}, fmt.Errorf("mutants: the record of kit %q: %w", kit, err)
	}
	return r, nil
}

func file(kit string) string { return kit + ".json" }
