package bottletest

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"bottle.internal/bundle"
	"bottle.internal/internal/echo"
	"bottle.internal/smolvm/smolvmtest"
)

func TestMain(m *testing.M) { smolvmtest.Main(m, bundleFailures(), handlers) }

// fakeLaunch launches against a scripted smolvm and a fake container side. verb is the machine subcommand that fails, failAt
// the call of the container side that does; "" is none. The gate cannot pass without a guest, so a launch that is to succeed
// is Ungated.
func fakeLaunch(t *testing.T, verb, failAt string, ungated bool) (*Bottle, *fakeSidecar, *smolvmtest.Fake, error) {
	t.Helper()
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	t.Setenv("HOME", t.TempDir())
	replies := []smolvmtest.Reply{smolvmtest.Version("1.9.3")}
	if verb != "" {
		replies = append(replies, smolvmtest.Reply{Argv: []string{"machine", verb}, Exit: 1, Stderr: "Error: io operation failed: told to\n", Times: smolvmtest.AnyTimes})
	}
	for _, v := range []string{"create", "start", "cp", "stop", "delete", "data-dir"} {
		replies = append(replies, smolvmtest.Reply{Argv: []string{"machine", v}, Times: smolvmtest.AnyTimes})
	}
	replies = append(replies, smolvmtest.Reply{Command: []string{"true"}, Guest: &smolvmtest.Guest{}, Times: smolvmtest.AnyTimes})
	replies = append(replies, smolvmtest.Reply{Guest: &smolvmtest.Guest{}, Times: smolvmtest.AnyTimes})
	fake := smolvmtest.New(t, replies...)
	side := &fakeSidecar{failAt: failAt}
	cfg := Config{Name: "fake", Engine: Smolvm, Smolvm: fake.Path, Agent: fake.Path, Ungated: ungated, Artifacts: t.TempDir()}
	b, err := run(t.Context(), cfg, echo.NewSecret(), parts{func(BundleRuntime) sidecar { return side }, findEngine, thisHost{}})
	return b, side, fake, err
}

func TestLaunchInOrder(t *testing.T) {
	b, side, fake, err := fakeLaunch(t, "", "canary", true)
	if err != nil {
		t.Fatal(err)
	}
	var verbs []string
	for _, c := range fake.Calls() {
		if len(c.Argv) > 1 {
			verbs = append(verbs, c.Argv[1])
		}
	}
	if diff := cmp.Diff([]string{"create", "start", "exec", "exec", "cp"}, verbs); diff != "" {
		t.Errorf("the guest's side: %s", diff)
	}
	slices.Sort(side.calls[2:min(4, len(side.calls))]) // side by side
	if diff := cmp.Diff([]string{"prepare", "planNetwork", "create", "createNetwork", "start", "canary"}, side.calls); diff != "" {
		t.Errorf("the container's side: %s", diff)
	}
	if all, err := records(); err != nil || len(all) != 1 || all[0].Slug != b.Plan().Slug {
		t.Errorf("records while the bottle is up: %v, %v", all, err)
	}
	for range 2 {
		if err := b.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff([]string{"bundle off its network", "bundle", "network", "machine stop", "machine delete", "record"}, b.undo.ran); diff != "" {
		t.Errorf("undone: %s", diff)
	}
	if all, err := records(); err != nil || len(all) != 0 {
		t.Errorf("records after Close: %v, %v", all, err)
	}
	if _, err := b.Exec(t.Context(), "true"); !errors.Is(err, ErrClosed) {
		t.Errorf("Exec after Close: %v", err)
	}
}

// TestEveryFailedStepIsUndone fails each step in turn. What the other branch had begun by then depends on who was faster, so
// each branch is compared by itself; the record goes last whatever happened.
func TestEveryFailedStepIsUndone(t *testing.T) {
	container, guest := []string{"bundle off its network", "bundle", "network"}, []string{"machine stop", "machine delete"}
	for name, tc := range map[string]struct {
		verb, failAt string
		step         string
		undone       []string // in order; of the branch that failed
		all          bool     // nothing else may have been undone
	}{
		"no engine":      {"", "prepare", "bundle engine", nil, true},
		"no subnet":      {"", "planNetwork", "subnet", []string{"record"}, true},
		"no network":     {"", "createNetwork", "network", append(container, "record"), false},
		"no container":   {"", "create", "bundle create", append(container, "record"), false},
		"no bundle":      {"", "start", "bundle", append(container, "record"), false},
		"machine create": {"create", "", "machine create", []string{"machine delete", "record"}, false},
		"machine start":  {"start", "", "machine start", append(guest, "record"), false},
		"agent":          {"cp", "", "agent in", append(guest, "record"), false},
		"gate":           {"", "canary", "launch gate", slices.Concat(container, guest, []string{"record"}), true},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, _, err := fakeLaunch(t, tc.verb, tc.failAt, false)
			var failed *LaunchError
			if !errors.As(err, &failed) {
				t.Fatalf("%v is no LaunchError", err)
			}
			undone := failed.Undone
			if !tc.all {
				undone = slices.DeleteFunc(slices.Clone(undone), func(s string) bool { return !slices.Contains(tc.undone, s) })
			}
			if diff := cmp.Diff(tc.undone, undone, cmpopts.EquateEmpty()); diff != "" || failed.Step != tc.step || failed.Leftover != nil {
				t.Errorf("step %q, want %q; leftover %v; undone %s", failed.Step, tc.step, failed.Leftover, diff)
			}
			if !strings.Contains(err.Error(), tc.step) {
				t.Errorf("the text does not name the step: %v", err)
			}
			if all, err := records(); err != nil || len(all) != 0 {
				t.Errorf("a record is left: %v, %v", all, err)
			}
		})
	}
}

// TestLostSubnet launches again where somebody else's network was faster, and gives up where that does not end.
func TestLostSubnet(t *testing.T) {
	secret := echo.NewSecret()
	lost := func() *fakeSidecar { return &fakeSidecar{failAt: "createNetwork", err: bundle.ErrSubnetLost} }
	first := lost()
	b, asked, err := autoLaunch(t, secret, first, &fakeSidecar{at: newFakeCanary(t, secret)})
	if err != nil || len(asked) != 2 || b.Plan().Topology != Bridge {
		t.Fatalf("%v, %v", asked, err)
	}
	for _, call := range []string{"remove", "removeNetwork"} {
		if !slices.Contains(first.calls, call) {
			t.Errorf("the first launch is not undone: %q", first.calls)
		}
	}
	_, asked, err = autoLaunch(t, secret, lost(), lost(), lost(), lost())
	if failed := (*LaunchError)(nil); !errors.As(err, &failed) || failed.Step != "network" || len(asked) != maxLost+1 {
		t.Errorf("%v, %v", asked, err)
	}
}

func TestGateFailureIsNotIsolated(t *testing.T) {
	_, _, _, err := fakeLaunch(t, "", "canary", false)
	if !errors.Is(err, ErrNotIsolated) {
		t.Errorf("a bottle whose walls could not be seen: %v", err)
	}
}

// TestUndoFailureIsSaid: a machine that cannot be deleted stays in the records, for Sweep.
func TestUndoFailureIsSaid(t *testing.T) {
	_, _, _, err := fakeLaunch(t, "delete", "canary", false)
	var failed *LaunchError
	if !errors.As(err, &failed) || failed.Leftover == nil {
		t.Fatalf("the leftover is not said: %v", err)
	}
	if all, _ := records(); len(all) != 1 {
		t.Errorf("the record of a machine that is still there was removed: Sweep would never find it")
	}
}

// TestEngineMustBeWhatWasAskedFor: a simulator under the name of smolvm must not pass for it, nor the other way round.
func TestEngineMustBeWhatWasAskedFor(t *testing.T) {
	for _, text := range []string{"0.8.0 (simulated)", "1.9.3 (simulated)"} {
		fake := smolvmtest.New(t, smolvmtest.Reply{Argv: []string{"--version"}, Stdout: "smolvm " + text + "\n"})
		_, err := findEngine(context.Background(), Config{Engine: Smolvm, Smolvm: fake.Path})
		if !errors.Is(err, ErrUnavailable) {
			t.Errorf("smolvm %s passes for the real one: %v", text, err)
		}
	}
}
