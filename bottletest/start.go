package bottletest

import (
	"context"
)

// TB is what Start needs of a test. *testing.T, *testing.B and Ginkgo's GinkgoT() satisfy it.
type TB interface {
	Helper()
	Name() string
	Logf(format string, args ...any)
	Fatalf(format string, args ...any)
	Skipf(format string, args ...any)
	Failed() bool
	Cleanup(func())
}

// Start launches a bottle for the test tb and registers its end. Where this host cannot launch what cfg asks for it does what
// Require does; any other failure to launch ends the test. If the test has failed by its end, the artifact directory is
// filled before the bottle goes, and its path is logged.
func Start(tb TB, cfg Config) *Bottle {
	tb.Helper()
	return StartContext(context.Background(), tb, cfg)
}

// StartContext is Start for a test whose context ends when it is interrupted, as Ginkgo's SpecContext does: a launch under way is
// then undone, and tb fails. Once the bottle is up, ctx means nothing to it any more.
func StartContext(ctx context.Context, tb TB, cfg Config) *Bottle {
	tb.Helper()
	Require(tb, cfg)
	if cfg.Logf == nil {
		cfg.Logf = tb.Logf
	}
	b, err := Run(ctx, cfg)
	if err != nil {
		tb.Fatalf("%v", err)
	}
	tb.Cleanup(func() {
		ctx := context.Background()
		if tb.Failed() {
			b.saveArtifacts(ctx)
		}
		if err := b.Close(ctx); err != nil {
			tb.Logf("%v", err)
			tb.Fatalf("the bottle was not torn down: %v", err)
		}
	})
	return b
}
