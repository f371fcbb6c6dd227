package bottletest

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"bottle.internal/internal/echo"
	"bottle.internal/probes"
)

// A refusal in the bundle's log is told with all by which it can be joined with an attempt.
func TestRefusalsOfTheBundle(t *testing.T) {
	b := &Bottle{side: &fakeSidecar{log: `[proxy] {"time":"2026-01-02T03:04:05Z","decision":"deny","daemon":"proxy","method":"CONNECT",` +
		`"target":"192.0.2.1:443","rule":"not-listed","nonces":["0123456789abcdef0123456789abcdef"]}` + "\n"}}
	got, err := b.refusals(t.Context(), time.Time{})
	want := []probes.Denial{{
		Time: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Op: "proxy CONNECT", Dest: "192.0.2.1:443", Rule: "not-listed",
		Nonces: []echo.Nonce{"0123456789abcdef0123456789abcdef"},
	}}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("%v, %s", err, diff)
	}
}
