// Package leftover compares a machine before and after a run: containers, networks, volumes, guest machines, processes, mounts,
// addresses of the host.
//
// It only looks. What is this project's own (by label, name or executable) is a leftover; what else has come up meanwhile is
// told, because a run may be to blame, and is no failure, because a developer's machine has other lives.
package leftover

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// A thing is one object that can be left behind.
type thing struct {
	kind string // "container", "network", …
	name string // what a person would look for
	ours bool
}

// A Snapshot is what was there at one moment, by an identity that does not come round again.
type Snapshot map[string]thing

// Take looks at everything. A container engine that does not answer is an error where docker is installed: silence from it would
// read as "nothing left".
func Take(ctx context.Context) (Snapshot, error) {
	s := Snapshot{}
	for _, look := range []func(context.Context, Snapshot) error{docker, machines, processes, mounts, addresses} {
		if err := look(ctx, s); err != nil {
			return nil, fmt.Errorf("leftover: %w", err)
		}
	}
	return s, nil
}

// Since returns what is in s and was not in before: this project's own, and the rest.
func (s Snapshot) Since(before Snapshot) (ours, others []string) {
	for id, t := range s {
		if _, was := before[id]; was {
			continue
		}
		if text := t.kind + " " + t.name; t.ours {
			ours = append(ours, text)
		} else {
			others = append(others, text)
		}
	}
	slices.Sort(ours)
	slices.Sort(others)
	return ours, others
}

// Settle takes snapshots until nothing of this project's is left, or limit has passed: a process that has been told to end and a
// network whose removal was accepted need a moment.
func Settle(ctx context.Context, before Snapshot, limit time.Duration) (ours, others []string, err error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	for {
		now, err := Take(context.WithoutCancel(ctx))
		if err != nil {
			return nil, nil, err
		}
		ours, others = now.Since(before)
		if len(ours) == 0 {
			return nil, others, nil
		}
		select {
		case <-ctx.Done():
			return ours, others, nil
		case <-time.After(200 * time.Millisecond):
		}
	}
}
