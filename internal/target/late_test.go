package target

import (
	"context"
	"errors"
	"testing"
)

// An answer that comes as the time is up is no sandbox without an error.
func TestShellThatAnswersTooLate(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	run := func(context.Context, command) (result, error) {
		cancel()
		return result{}, nil
	}
	got, err := newSandbox(Options{}, "command", "", "here").shell(ctx, run)
	if got != nil || !errors.Is(err, context.Canceled) {
		t.Errorf("a runner: %t, %v", got != nil, err)
	}
}
