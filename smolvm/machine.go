package smolvm

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"
)

// A Machine is what smolvm tells of one. A field that this release does not report, or reports in another form, is zero.
type Machine struct {
	Name string
	// State is smolvm's word: one of the State constants, or a newer one. Only StateRunning means that commands can run.
	State string
	// PID is the VM's process; 0 when there was none. It is the last one known, and stale unless the machine runs.
	PID int
	// Image is the OCI reference, "" for a bare machine and one made from a pack.
	Image string
	// Network says that the guest has a network. The policy on it is in no output of smolvm.
	Network bool
	// CreatedAt has whole seconds.
	CreatedAt       time.Time
	CPUs, MemoryMiB int
	// Labels exist from 1.8.0 on; nil without any.
	Labels map[string]string
	// Ephemeral marks a machine of `machine run`, which smolvm removes by itself.
	Ephemeral bool
}

// The states there were up to 1.9.3. Unreachable is a VM whose process lives and whose agent is silent.
const (
	StateCreated     = "created"
	StateRunning     = "running"
	StateStopped     = "stopped"
	StateFailed      = "failed"
	StateUnreachable = "unreachable"
	StateFrozen      = "frozen"
)

// Running reports whether commands can run in m.
func (m Machine) Running() bool { return m.State == StateRunning }

// List returns all machines of this user, sorted by name. Each one whose agent is dead costs 3 s.
func (c *Client) List(ctx context.Context) ([]Machine, error) {
	out, err := c.run(ctx, call{argv: listArgs(), limit: queryLimit})
	if err != nil {
		return nil, err
	}
	list, err := parseMachines(out.stdout)
	if err != nil {
		return nil, out.failure(err)
	}
	return list, nil
}

// Status tells what smolvm knows of the machine; ErrNotFound if nothing.
func (c *Client) Status(ctx context.Context, name string) (Machine, error) {
	if err := checkName(name); err != nil {
		return Machine{}, err
	}
	out, err := c.run(ctx, call{argv: statusArgs(name), limit: queryLimit})
	if err != nil {
		return Machine{}, err
	}
	m, err := parseMachine(out.stdout)
	if err == nil && m.Name != name {
		err = fmt.Errorf("asked for %q, told of %q", name, m.Name)
	}
	if err != nil {
		return Machine{}, out.failure(err)
	}
	return m, nil
}

func parseMachines(text []byte) ([]Machine, error) {
	var items []json.RawMessage
	if err := json.Unmarshal(text, &items); err != nil {
		return nil, fmt.Errorf("parsing the list of machines: %w", err)
	}
	list := make([]Machine, 0, len(items))
	for _, item := range items {
		m, err := parseMachine(item)
		if err != nil {
			return nil, err
		}
		list = append(list, m)
	}
	slices.SortFunc(list, func(a, b Machine) int { return cmp.Compare(a.Name, b.Name) })
	return list, nil
}

// parseMachine asks for the two fields that nothing works without, and takes the others as they come: unknown ones, nulls and other
// types than expected are no reason not to list a machine that is to be removed.
func parseMachine(text []byte) (Machine, error) {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(text, &fields); err != nil {
		return Machine{}, fmt.Errorf("parsing a machine: %w", err)
	}
	m := Machine{
		Name: field[string](fields, "name"), State: field[string](fields, "state"),
		PID: field[int](fields, "pid"), Image: field[string](fields, "image"), Network: field[bool](fields, "network"),
		CPUs: field[int](fields, "cpus"), MemoryMiB: field[int](fields, "memory_mib"),
		Labels: field[map[string]string](fields, "labels"), Ephemeral: field[bool](fields, "ephemeral"),
	}
	if len(m.Labels) == 0 {
		m.Labels = nil
	}
	if at := field[int64](fields, "created_at"); at != 0 {
		m.CreatedAt = time.Unix(at, 0)
	}
	if m.Name == "" || m.State == "" {
		return Machine{}, errors.New("parsing a machine: it has no name or no state")
	}
	return m, nil
}

// field is the value at key, zero when it is absent or something else than a T.
func field[T any](fields map[string]json.RawMessage, key string) T {
	var v, zero T
	if json.Unmarshal(fields[key], &v) != nil {
		return zero
	}
	return v
}
