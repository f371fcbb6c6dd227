package bottletest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"bottle.internal/bundle"
)

// requireTimeout bounds the question whether this host can launch a bottle; building the simulator the first time is the
// longest part of it.
const requireTimeout = 5 * time.Minute

// Require skips tb, naming every unmet condition, unless this host can launch what cfg asks for: the guest engine is there, and
// a container engine answers or the guest engine can run the bundle as well. A skip is not a pass: with BOTTLE_REQUIRE=1 it is a failure, and so it is in a Gitea Actions job
// (GITEA_ACTIONS=true) unless BOTTLE_REQUIRE=0 says that the job means to skip.
func Require(tb TB, cfg Config) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), requireTimeout)
	defer cancel()
	err := Available(ctx, cfg)
	if err == nil {
		return
	}
	if required() {
		tb.Fatalf("%v", err)
		return
	}
	tb.Skipf("%v", err)
}

func required() bool {
	switch os.Getenv("BOTTLE_REQUIRE") {
	case "1", "true":
		return true
	case "0", "false":
		return false
	}
	return os.Getenv("GITEA_ACTIONS") == "true"
}

// Available says whether this host can launch what cfg asks for. Its error wraps ErrUnavailable (or ErrConfig) and names every
// unmet condition with what mends it.
func Available(ctx context.Context, cfg Config) error {
	if err := cfg.check(); err != nil {
		return err
	}
	var unmet []error
	engine, err := findEngine(ctx, cfg)
	if err != nil {
		unmet = append(unmet, err)
	}
	if err := runtimeAvailable(ctx, cfg, engine); err != nil {
		unmet = append(unmet, err)
	}
	if len(unmet) == 0 {
		return nil
	}
	return &conditions{unmet}
}

// FindBundleRuntime says what would run the bundle of a bottle that cfg asks for and how the guest would reach it, such as
// "container, topology bridge", or why nothing can. Whether this host reaches a container is only known once one was dialled.
func FindBundleRuntime(ctx context.Context, cfg Config) (string, error) {
	if err := cfg.check(); err != nil {
		return "", err
	}
	engine, _ := findEngine(ctx, cfg) // nil without one: then a container must do
	if err := runtimeAvailable(ctx, cfg, engine); err != nil {
		return "", err
	}
	_, noEngine := bundle.Detect(ctx)
	switch {
	case cfg.runtime() == Machine || noEngine != nil:
		return fmt.Sprintf("%s, topology %s", Machine, Alias), nil
	case cfg.topology() == "":
		return fmt.Sprintf("%s, topology %s, or %s if this host does not reach the container", Container, Bridge, Alias), nil
	}
	return fmt.Sprintf("%s, topology %s", Container, cfg.topology()), nil
}

// runtimeAvailable says whether something can run the bundle: a container engine, or where cfg lets it the guest's own engine,
// if that is found (nil if not).
func runtimeAvailable(ctx context.Context, cfg Config, engine *guestEngine) error {
	var noMachine error
	if engine != nil {
		_, noMachine = publishBackend(engine.version)
	}
	if cfg.runtime() == Machine {
		return noMachine
	}
	_, err := bundle.Detect(ctx)
	switch {
	case err == nil:
		return nil
	case !cfg.mayBeMachine():
		noMachine = nil
	case noMachine == nil && engine != nil:
		return nil
	}
	if noMachine == nil {
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	return fmt.Errorf("%w: %w; and %s", ErrUnavailable, err, strings.TrimPrefix(noMachine.Error(), ErrUnavailable.Error()+": "))
}

// conditions are the unmet ones, one line each.
type conditions struct{ unmet []error }

func (c *conditions) Error() string {
	lines := make([]string, len(c.unmet))
	for i, err := range c.unmet {
		lines[i] = strings.TrimPrefix(err.Error(), ErrUnavailable.Error()+": ")
	}
	return fmt.Sprintf("%v: %d unmet condition(s):\n- %s", ErrUnavailable, len(lines), strings.Join(lines, "\n- "))
}

// Unwrap returns every condition.
func (c *conditions) Unwrap() []error { return append([]error{ErrUnavailable}, c.unmet...) }

var _ error = (*conditions)(nil)

// IsUnavailable reports whether err says that this host lacks what a launch needs.
func IsUnavailable(err error) bool { return errors.Is(err, ErrUnavailable) }
