package smolvm

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"bottle.internal/smolvm/smolvmtest"
)

var lockedReply = failing("database operation failed: update vm: database is locked")

func TestLockedDatabase(t *testing.T) {
	for name, failures := range map[string]int{"once": 1, "to the end": lockedTries} {
		t.Run(name, func(t *testing.T) {
			replies := slices.Repeat([]smolvmtest.Reply{lockedReply}, failures)
			if failures < lockedTries {
				replies = append(replies, smolvmtest.Reply{})
			}
			c, fake := scripted(t, "1.7.4", replies...)
			said := 0
			c.Logf = func(format string, args ...any) {
				if strings.Contains(format, "once more") {
					said++
				}
			}
			err := c.Create(t.Context(), "m", CreateOptions{})
			if failures == lockedTries {
				wantIs(t, err, ErrBusy)
			} else if err != nil {
				t.Error(err)
			}
			if n := len(fake.Lines()); n != len(replies) || said != n-1 {
				t.Errorf("%d calls, told of %d", n, said)
			}
		})
	}
}

func TestLockedDatabaseInExec(t *testing.T) {
	c, _ := scripted(t, "1.7.4", failing("database operation failed: configure pragmas: resource is locked"), lockedReply, smolvmtest.Reply{Exit: 137},
		smolvmtest.Reply{Guest: &smolvmtest.Guest{Stdout: "ok"}})
	res, err := c.Exec(t.Context(), "m", Command{Argv: []string{"x"}})
	if err != nil || len(res.Retries) != 3 || string(res.Stdout) != "ok" {
		t.Errorf("%+v, %v", res, err)
	}
	c, fake := scripted(t, "1.7.4", slices.Repeat([]smolvmtest.Reply{lockedReply}, lockedTries)...)
	res, err = c.Exec(t.Context(), "m", Command{Argv: []string{"x"}})
	if wantIs(t, err, ErrBusy); len(res.Retries) != lockedTries-1 || len(fake.Lines()) != lockedTries {
		t.Errorf("%+v", res)
	}
}

func TestLockedDatabaseEndsWithContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	tries := 0
	err := (&Client{}).again(ctx, "x", func() error { tries++; cancel(); return errLocked })
	if wantIs(t, err, ErrBusy); tries != 1 {
		t.Errorf("tried %d times", tries)
	}
}

func TestJitter(t *testing.T) {
	const d = 100 * time.Millisecond
	seen := map[time.Duration]bool{}
	for range 100 {
		j := jitter(d)
		if j < d/2 || j > 3*d/2 {
			t.Fatalf("%s", j)
		}
		seen[j] = true
	}
	if len(seen) < 50 {
		t.Errorf("%d different ones of 100", len(seen))
	}
}
