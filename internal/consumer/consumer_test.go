// Package consumer is another repository's test, as its author would write it: a module of its own that imports the kit. Nothing
// here is internal to the kit, so what a consumer needs and cannot reach shows up as a build that breaks.
package consumer

import (
	"context"
	"testing"
	"time"

	"bottle.internal/bottletest"
)

func TestMyAgentRunsInABottle(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	b := bottletest.Start(t, bottletest.Config{})

	res, err := b.Exec(ctx, "echo", "hello-from-vm")
	if err != nil {
		t.Fatal(err)
	}
	if got := string(res.Stdout); got != "hello-from-vm\n" || res.ExitCode != 0 {
		t.Errorf("echo in the bottle: exit %d, %q", res.ExitCode, got)
	}

	rep, err := b.Probe(ctx, "net.tcp.loopback.v4")
	if err != nil {
		t.Fatal(err)
	}
	finding, err := rep.Finding("net.tcp.loopback.v4")
	if err != nil {
		t.Fatal(err)
	}
	if finding.Verdict != "contained" {
		t.Errorf("the host's loopback is %s: %s", finding.Verdict, finding.Reason)
	}
}
