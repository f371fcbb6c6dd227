package killing

import (
	"cmp"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"

	"bottle.internal/internal/gobuild"
	"bottle.internal/probes/mutants"
)

// Write leaves the matrix where artifacts go, as JSON and as a page, with the reports of the sound bottles that it goes by, and says
// where. A matrix of all mutants is what control C5 goes by, and is put on record too.
func Write(m mutants.Matrix, whole bool) (dir string, err error) {
	dir = cmp.Or(os.Getenv("BOTTLE_ARTIFACTS"), filepath.Join(os.TempDir(), "bottle-artifacts", "kill-matrix"))
	if err := os.MkdirAll(dir, 0o755); err != nil { //nolint:gosec // nothing secret
		return dir, err
	}
	err = errors.Join(into(filepath.Join(dir, "matrix.json"), m.WriteJSON), into(filepath.Join(dir, "matrix.html"), m.WriteHTML),
		m.Record().Write(filepath.Join(dir, "kills")))
	for base, report := range m.Sound {
		err = errors.Join(err, into(filepath.Join(dir, "sound-"+base+".json"), func(w io.Writer) error { return json.NewEncoder(w).Encode(report) }))
	}
	if !whole {
		return dir, err
	}
	record, cacheErr := gobuild.KillsDir()
	if cacheErr == nil {
		cacheErr = m.Record().Write(record)
	}
	return dir, errors.Join(err, cacheErr)
}

func into(path string, write func(io.Writer) error) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	return errors.Join(write(f), f.Close())
}
