package bottletest

import (
	"context"
	"errors"
	"slices"
	"testing"
)

// A dry run plans what a launch would, and leaves neither a record nor a claim behind.
func TestDryRun(t *testing.T) {
	Require(t, Config{Engine: Simulator})
	for _, topology := range []Topology{Bridge, Alias} {
		p, err := DryRun(t.Context(), Config{Engine: Simulator, Topology: topology})
		if err != nil {
			t.Fatal(err)
		}
		if p.Topology != topology || !p.Bundle.IsValid() || len(p.Allow) == 0 {
			t.Errorf("%s:\n%s", topology, p)
		}
		left, err := records()
		if err != nil || slices.ContainsFunc(left, func(r record) bool { return r.Slug == p.Slug }) {
			t.Errorf("%s is on record: %v", p.Slug, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := DryRun(ctx, Config{Engine: Simulator}); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}
