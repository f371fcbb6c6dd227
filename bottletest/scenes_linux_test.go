package bottletest

import (
	"context"
	"errors"
	"testing"
	"time"

	"bottle.internal/probes"
)

// TestScenesAreUndone interrupts what stops a part of a bottle or puts another guest beside it, and finds the bottle as it was.
func TestScenesAreUndone(t *testing.T) {
	cfg := simulated(t, "1.9.3", "")
	cfg.Daemons = []string{"proxy", "egress"}
	b, err := Run(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := b.Close(context.Background()); err != nil {
			t.Error(err)
		}
	}()
	for _, id := range []string{"policy.empty-allowlist", "net.tcp.peer-vm", "proxy.fail-closed", "net.tcp.boot-window"} {
		for _, limit := range []time.Duration{60 * time.Millisecond, 120 * time.Millisecond, 300 * time.Millisecond} {
			ctx, cancel := context.WithTimeout(t.Context(), limit)
			_, err := b.ProbeWith(ctx, probes.Options{}, id)
			cancel()
			if err != nil && !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%s within %s: %v", id, limit, err)
			}
			if r, err := b.Probe(t.Context(), gateProbes...); err != nil || r.Worst() != probes.Contained {
				t.Errorf("after %s was interrupted: %v\n%s", id, err, r)
			}
		}
	}
	for _, m := range must(b.Client().List(t.Context()))(t) {
		if m.Name == peerMachine(b.Plan().Machine) {
			t.Errorf("%s is left", m.Name)
		}
	}
}
