package smolvm

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"bottle.internal/smolvm/smolvmtest"
)

func TestStart(t *testing.T) {
	for text, want := range map[string]error{
		"vm not found: m": ErrNotFound,
		"agent operation failed: start machine: another process is already starting or running this VM": ErrBusy,
		"kvm not available: /dev/kvm": ErrNoHypervisor,
	} {
		c, fake := scripted(t, "1.9.3", failing(text))
		wantIs(t, c.Start(t.Context(), "m"), want)
		wantLines(t, fake, "machine start --name m")
	}
}

// Below 1.2.5 the second start must not begin before the first has ended, whichever client makes it. From there on it may: each of these
// starts waits for the other one.
func TestStartsBelowTakeTurns(t *testing.T) {
	for release, handler := range map[string]string{"1.2.4": "meets nobody", "1.2.5": "meets another"} {
		t.Run(release, func(t *testing.T) {
			fake := smolvmtest.New(t, smolvmtest.Version(release), smolvmtest.Reply{Argv: []string{"machine", "start"}, Times: 2, Handler: handler})
			var wg sync.WaitGroup
			for range 2 {
				wg.Go(func() {
					if err := (&Client{Path: fake.Path}).Start(t.Context(), "m"); err != nil {
						t.Error(err)
					}
				})
			}
			wg.Wait()
		})
	}
}

func TestStartWaitingEndsWithContext(t *testing.T) {
	c, fake := scripted(t, "0.8.0")
	key, err := c.rootfsKey()
	if err != nil {
		t.Fatal(err)
	}
	done, err := takeTurn(t.Context(), "start", key)
	if err != nil {
		t.Fatal(err)
	}
	defer done()
	if _, err := c.Version(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	wantIs(t, c.Start(ctx, "m"), context.DeadlineExceeded)
	noCalls(t, fake)
}

func TestStop(t *testing.T) {
	for name, row := range map[string]struct {
		release string
		reply   smolvmtest.Reply
		want    error
	}{
		"running":        {"0.8.0", smolvmtest.Reply{Stdout: "Stopped machine: m\n"}, nil},
		"unknown, 0.8.0": {"0.8.0", smolvmtest.Reply{Stdout: "Machine 'm' not found or not running\n"}, nil},
		"unknown, 0.8.1": {"0.8.1", failing("vm not found: m"), nil},
		"frozen base":    {"1.9.3", failing("invalid vm state: expected stopped, got Frozen"), ErrState},
	} {
		t.Run(name, func(t *testing.T) {
			c, fake := scripted(t, row.release, row.reply)
			wantIs(t, c.Stop(t.Context(), "m"), row.want)
			wantLines(t, fake, "machine stop --name m")
		})
	}
}

func TestDelete(t *testing.T) {
	none := smolvmtest.Reply{Stdout: "[]"}
	there := smolvmtest.Reply{Stdout: `[{"name":"m","state":"stopped"}]`}
	other := smolvmtest.Reply{Stdout: `[{"name":"m2","state":"stopped"}]`}
	ok, gone := smolvmtest.Reply{}, failing("vm not found: m")
	locked := slices.Repeat([]smolvmtest.Reply{failing("database operation failed: database is locked")}, lockedTries)
	dir, left := smolvmtest.Reply{Stdout: "/vms/0123456789abcdef\n"}, smolvmtest.Reply{Stdout: t.TempDir() + "\n"}
	const stop, oldDelete, newDelete, list = "machine stop --name m", "machine delete -f m", "machine delete --name m -f", "machine ls --json"
	const oldDir, newDir = "machine data-dir m", "machine data-dir --name m"
	for name, row := range map[string]struct {
		release string
		replies []smolvmtest.Reply
		want    error
		lines   []string
	}{
		"0.8.0 stops first":            {"0.8.0", []smolvmtest.Reply{ok, dir, ok, none}, nil, []string{stop, oldDir, oldDelete, list}},
		"0.8.0 unknown":                {"0.8.0", []smolvmtest.Reply{ok, dir, gone}, nil, []string{stop, oldDir, oldDelete}},
		"0.8.0 cannot stop":            {"0.8.0", []smolvmtest.Reply{failing("io operation failed: x")}, errAny, []string{stop}},
		"1.0.1":                        {"1.0.1", []smolvmtest.Reply{dir, ok, other}, nil, []string{oldDir, oldDelete, list}},
		"1.0.2":                        {"1.0.2", []smolvmtest.Reply{dir, ok, none}, nil, []string{newDir, newDelete, list}},
		"1.7.1 says so and does not":   {"1.7.1", []smolvmtest.Reply{dir, ok, there}, ErrState, []string{newDir, newDelete, list}},
		"1.7.1 leaves the directory":   {"1.7.1", []smolvmtest.Reply{left, ok, none}, ErrState, []string{newDir, newDelete, list}},
		"1.7.1 tells no directory":     {"1.7.1", []smolvmtest.Reply{gone, ok, none}, ErrNotFound, []string{newDir, newDelete, list}},
		"1.7.1 cannot make sure":       {"1.7.1", append([]smolvmtest.Reply{dir, ok}, locked...), ErrBusy, append([]string{newDir, newDelete}, slices.Repeat([]string{list}, lockedTries)...)},
		"1.7.2":                        {"1.7.2", []smolvmtest.Reply{ok}, nil, []string{newDelete}},
		"1.9.3 unknown":                {"1.9.3", []smolvmtest.Reply{gone}, nil, []string{newDelete}},
		"1.9.3 the process lives on":   {"1.9.3", []smolvmtest.Reply{failing("agent operation failed: delete: x")}, errAny, []string{newDelete}},
		"1.9.3 the database is in use": {"1.9.3", locked, ErrBusy, slices.Repeat([]string{newDelete}, lockedTries)},
	} {
		t.Run(name, func(t *testing.T) {
			c, fake := scripted(t, row.release, row.replies...)
			err := c.Delete(t.Context(), "m")
			if errors.Is(row.want, errAny) {
				_ = asError(t, err)
			} else {
				wantIs(t, err, row.want)
			}
			wantLines(t, fake, row.lines...)
		})
	}
}

// errAny stands for an *Error without a class.
var errAny = errors.New("some *Error")
