package bottletest

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var errUndo = errors.New("cannot undo")

func TestUndoRunsOnceInReverse(t *testing.T) {
	var u undo
	count := 0
	for _, name := range []string{"a", "b", "c"} {
		u.push(name, func(context.Context) error { count++; return nil })
	}
	for range 2 {
		if err := u.run(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff([]string{"c", "b", "a"}, u.ran); diff != "" || count != 3 {
		t.Errorf("ran %d steps: %s", count, diff)
	}
}

func TestUndoGoesOnAfterAFailure(t *testing.T) {
	var u undo
	ok := false
	u.push("first", func(context.Context) error { ok = true; return nil })
	u.push("second", func(context.Context) error { return errUndo })
	err := u.run(t.Context())
	if !ok || !errors.Is(err, errUndo) || err.Error() != "second: cannot undo" {
		t.Errorf("ok %v, err %v", ok, err)
	}
	if again := u.run(t.Context()); !errors.Is(again, errUndo) {
		t.Errorf("a second run forgets the failure: %v", again)
	}
}

// TestForkRunsItsBranchesSideBySide fails, by the timeout, if one branch waits for the other to end.
func TestForkRunsItsBranchesSideBySide(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	var u undo
	u.push("before", func(context.Context) error { return nil })
	left, right := u.fork()
	meet := make(chan struct{})
	left.push("l1", func(context.Context) error { return nil })
	left.push("l2", func(ctx context.Context) error { return meetOr(ctx, func() { meet <- struct{}{} }) })
	right.push("r", func(ctx context.Context) error {
		select {
		case <-meet:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	})
	if err := u.run(ctx); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"l2", "l1", "r", "before"}, u.ran); diff != "" {
		t.Error(diff)
	}
}

func meetOr(ctx context.Context, meet func()) error {
	done := make(chan struct{})
	go func() { meet(); close(done) }()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
