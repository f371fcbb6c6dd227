package proc

import (
	"context"
	"errors"
	"os/exec"
	"strings"
	"testing"
	"time"
)

func TestOutputSaysWhatFailedAndWhy(t *testing.T) {
	_, err := Output(t.Context(), "", []string{"WHY=no engine"}, "sh", "-c", "echo half; echo $WHY >&2; exit 3")
	exit, ok := errors.AsType[*exec.ExitError](err)
	if !ok || exit.ExitCode() != 3 {
		t.Fatalf("%v, want exit 3", err)
	}
	for _, part := range []string{"sh -c", "no engine"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%q does not say %q", err, part)
		}
	}
}

// A child that ignores SIGINT, as a shell's background job does, holds the pipe open: only the group's end closes it.
func TestCancelEndsTheGroup(t *testing.T) {
	for _, c := range []struct{ name, script string }{
		{"by SIGINT", "trap 'echo interrupted; exit 7' INT; sleep 60"},
		{"by SIGKILL when it stays", "trap 'echo interrupted; exit 7' INT; sleep 60 & wait"},
	} {
		t.Run(c.name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			var out strings.Builder
			cmd := command(ctx, time.Second, nil, "sh", "-c", c.script)
			cmd.Stdout = &out
			start := time.Now()
			time.AfterFunc(200*time.Millisecond, cancel)
			err := cmd.Run()
			if exit, ok := errors.AsType[*exec.ExitError](err); !ok || exit.ExitCode() != 7 {
				t.Errorf("%v, want exit 7", err)
			}
			if !strings.Contains(out.String(), "interrupted") || time.Since(start) > 5*time.Second {
				t.Errorf("it said %q after %s", &out, time.Since(start))
			}
		})
	}
}
