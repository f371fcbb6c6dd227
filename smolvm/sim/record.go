//go:build linux

package sim

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"bottle.internal/internal/owner"
	"bottle.internal/smolvm/sim/vnet"
	"github.com/gofrs/flock"
)

// The states a record can hold. Whether a machine is really running is asked of its processes.
const (
	stateCreated     = "created"
	stateRunning     = "running"
	stateStopped     = "stopped"
	stateUnreachable = "unreachable"
)

// A record is what is stored about a machine.
type record struct {
	Name      string            `json:"name"`
	CPUs      int               `json:"cpus"`
	MemoryMiB int               `json:"memory_mib"`
	Network   bool              `json:"network"`
	Backend   string            `json:"backend,omitempty"` // as asked for with --net-backend
	Policy    bool              `json:"policy,omitempty"`
	Allow     []string          `json:"allowed_cidrs,omitempty"`
	Hosts     []string          `json:"dns_filter_hosts,omitempty"`
	Ports     []vnet.Port       `json:"ports,omitempty"`
	Env       []string          `json:"env,omitempty"`
	Workdir   string            `json:"workdir,omitempty"`
	Labels    map[string]string `json:"labels,omitempty"`
	StorageGB int               `json:"storage_gb,omitempty"` // as asked for, GiB; recorded only
	OverlayGB int               `json:"overlay_gb,omitempty"` // the same

	Image      string   `json:"image,omitempty"`      // a registry's, or "local:" and a hash
	Archive    string   `json:"archive,omitempty"`    // path of the local image
	Pack       string   `json:"pack,omitempty"`       // absolute path of the .smolmachine, needed at every start
	Content    *content `json:"content,omitempty"`    // nil until the first start knows it
	Entrypoint []string `json:"entrypoint,omitempty"` // the workload's, as the command line gave it
	Cmd        []string `json:"cmd,omitempty"`
	Volumes    []volume `json:"volumes,omitempty"`
	Init       []string `json:"init,omitempty"` // run at the first start
	InitDone   bool     `json:"init_done,omitempty"`
	Ephemeral  bool     `json:"ephemeral,omitempty"` // of machine run: swept when its owner is gone

	CreatedAt int64    `json:"created_at"` // unix seconds
	State     string   `json:"state"`
	PID       int      `json:"pid,omitempty"`   // the last supervisor's
	Owner     owner.ID `json:"owner,omitempty"` // the same, safe against pid reuse
}

// A store is the machine records of one user: a file each, replaced atomically, changed under one lock.
type store struct{ dir string }

func (s *session) store() store { return store{dir: s.dirs.records} }

func (st store) path(name string) string { return filepath.Join(st.dir, name+".json") }

// load returns the record of name, or notFoundError.
func (st store) load(name string) (record, error) {
	var r record
	if checkName(name) != nil {
		return r, notFoundError(name)
	}
	b, err := os.ReadFile(st.path(name))
	if errors.Is(err, fs.ErrNotExist) {
		return r, notFoundError(name)
	}
	if err != nil {
		return r, databaseError("load machine", err)
	}
	if err := json.Unmarshal(b, &r); err != nil {
		return r, databaseError("load machine", fmt.Errorf("%q: %w", st.path(name), err))
	}
	return r, nil
}

// list returns every record, in the order of the names.
func (st store) list() ([]record, error) {
	entries, err := os.ReadDir(st.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, databaseError("list machines", err)
	}
	var out []record
	for _, e := range entries {
		name, ok := strings.CutSuffix(e.Name(), ".json")
		if !ok {
			continue
		}
		r, err := st.load(name)
		var gone *failure
		if errors.As(err, &gone) && gone.text == notFoundError(name).text {
			continue // deleted since ReadDir
		}
		if err != nil {
			return nil, err
		}
		out = append(out, r)
	}
	return out, nil
}

// locked runs do while no other process changes a record.
func (st store) locked(do func() error) error {
	if err := os.MkdirAll(st.dir, 0o700); err != nil {
		return databaseError("open", err)
	}
	lock := flock.New(filepath.Join(st.dir, ".lock"))
	if err := lock.Lock(); err != nil {
		return databaseError("lock", err)
	}
	defer func() { _ = lock.Unlock() }()
	return do()
}

// insert stores a new record; a second one of the same name is refused.
func (st store) insert(r record) error {
	return st.locked(func() error {
		if err := st.absent(r.Name); err != nil {
			return err
		}
		return st.write(r)
	})
}

func (st store) absent(name string) error {
	if _, err := os.Stat(st.path(name)); err == nil {
		return configError("create machine", "machine '%s' already exists", name)
	}
	return nil
}

// insert stores what a create made. Up to 1.0.0 the name was looked up before the work, and then taken from whoever came in
// between (smolvm v0.8.0 src/db.rs).
func (s *session) insert(r record) error {
	if s.CreateReserves {
		return s.store().insert(r)
	}
	return s.store().locked(func() error { return s.store().write(r) })
}

// update changes the record of name, or fails with notFoundError.
func (st store) update(name string, change func(*record)) error {
	return st.locked(func() error {
		r, err := st.load(name)
		if err != nil {
			return err
		}
		change(&r)
		return st.write(r)
	})
}

// remove deletes the record of name; an absent one is removed already.
func (st store) remove(name string) error {
	return st.locked(func() error {
		if err := os.Remove(st.path(name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return databaseError("remove machine", err)
		}
		return nil
	})
}

func (st store) write(r record) error {
	b, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return databaseError("store machine", err)
	}
	tmp := st.path(r.Name) + ".new"
	if err := os.WriteFile(tmp, b, 0o600); err != nil {
		return databaseError("store machine", err)
	}
	if err := os.Rename(tmp, st.path(r.Name)); err != nil {
		return databaseError("store machine", err)
	}
	return nil
}
