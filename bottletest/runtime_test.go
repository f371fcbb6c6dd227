package bottletest

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"bottle.internal/internal/echo"
	"bottle.internal/smolvm/smolvmtest"
)

// bundleFailures are handlers, one per subcommand, that fail what is done to a bundle's machine and nothing else.
func bundleFailures() map[string]smolvmtest.Handler {
	all := map[string]smolvmtest.Handler{}
	for _, verb := range []string{"create", "start", "cp"} {
		all[verb] = func(c smolvmtest.Call) smolvmtest.Reply {
			if strings.Contains(strings.Join(c.Argv, " "), "-bundle") {
				return smolvmtest.Reply{Exit: 1, Stderr: "Error: io operation failed: told to\n"}
			}
			return smolvmtest.Reply{}
		}
	}
	return all
}

// idleHost has addresses for bottles that nobody has to add.
func idleHost() *fakeHost { return &fakeHost{free: []netip.Addr{loop(230), loop(231)}} }

// machineLaunch launches with the bundle in a machine of a scripted smolvm. handler names what fails of the bundle's machine,
// exec whether its supervisor does.
func machineLaunch(t *testing.T, release, handler string, exec int) (*Bottle, *smolvmtest.Fake, error) {
	t.Helper()
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	t.Setenv("HOME", t.TempDir())
	replies := []smolvmtest.Reply{smolvmtest.Version(release)}
	if handler != "" {
		replies = append(replies, smolvmtest.Reply{Argv: []string{"machine", handler}, Handler: handler, Times: smolvmtest.AnyTimes})
	}
	for _, v := range []string{"create", "start", "cp", "stop", "delete"} {
		replies = append(replies, smolvmtest.Reply{Argv: []string{"machine", v}, Times: smolvmtest.AnyTimes})
	}
	started := smolvmtest.Reply{Command: []string{bundleProgram, "start"}, Guest: &smolvmtest.Guest{Exit: exec, Stderr: "not ready: told to"}, Times: smolvmtest.AnyTimes}
	fake := smolvmtest.New(t, append(replies, started, smolvmtest.Reply{Guest: &smolvmtest.Guest{}, Times: smolvmtest.AnyTimes})...)
	cfg := Config{Name: "fake", Engine: Smolvm, Smolvm: fake.Path, Agent: fake.Path, BundleRuntime: Machine, Artifacts: t.TempDir()}
	secret := echo.NewSecret()
	newSide := func(BundleRuntime) sidecar {
		return &preparedMachine{machineSidecar{cfg: cfg, secret: secret, program: fake.Path}}
	}
	b, err := run(t.Context(), cfg, secret, parts{newSide, findEngine, idleHost()})
	return b, fake, err
}

// preparedMachine has its program already.
type preparedMachine struct{ machineSidecar }

func (*preparedMachine) prepare(context.Context) error { return nil }

// TestEveryFailedStepOfAMachineIsUndone fails each step of the bundle's machine in turn. As in a container's launch the guest's
// branch is compared by itself.
func TestEveryFailedStepOfAMachineIsUndone(t *testing.T) {
	for name, tc := range map[string]struct {
		handler string
		exec    int
		step    string
	}{
		"create":     {"create", 0, "bundle"},
		"start":      {"start", 0, "bundle"},
		"program in": {"cp", 0, "bundle"},
		"supervisor": {"", 1, "bundle"},
		"gate":       {"", 0, "launch gate"}, // nothing is published at the alias
	} {
		t.Run(name, func(t *testing.T) {
			_, fake, err := machineLaunch(t, "1.9.3", tc.handler, tc.exec)
			var failed *LaunchError
			if !errors.As(err, &failed) || failed.Step != tc.step || failed.Leftover != nil {
				t.Fatalf("want a LaunchError at %q: %v", tc.step, err)
			}
			undone := slices.DeleteFunc(slices.Clone(failed.Undone), func(s string) bool { return strings.HasPrefix(s, "machine") })
			if diff := cmp.Diff([]string{"bundle", "alias", "record"}, undone); diff != "" {
				t.Error(diff)
			}
			if !deletes(fake, "-bundle") {
				t.Errorf("the bundle's machine is not deleted: %v", fake.Calls())
			}
			if all, err := records(); err != nil || len(all) != 0 {
				t.Errorf("a record is left: %v, %v", all, err)
			}
		})
	}
}

// deletes reports whether a machine was deleted whose name ends in suffix.
func deletes(fake *smolvmtest.Fake, suffix string) bool {
	return slices.ContainsFunc(fake.Calls(), func(c smolvmtest.Call) bool {
		return slices.Contains(c.Argv, "delete") && slices.ContainsFunc(c.Argv, func(a string) bool { return strings.HasSuffix(a, suffix) })
	})
}

// TestReleasesThatCannotPublish are refused before anything is made, in one line.
func TestReleasesThatCannotPublish(t *testing.T) {
	for _, release := range []string{"1.0.2", "1.0.3"} {
		_, fake, err := machineLaunch(t, release, "", 0)
		var failed *LaunchError
		if !errors.As(err, &failed) || !errors.Is(err, ErrUnavailable) || failed.Step != "topology" || len(failed.Undone) > 0 {
			t.Errorf("%s: %v", release, err)
		}
		if strings.Contains(failed.Err.Error(), "\n") {
			t.Errorf("more than a line: %v", failed.Err)
		}
		for _, c := range fake.Calls() {
			if slices.Contains(c.Argv, "create") {
				t.Errorf("%s: something was created: %q", release, c.Argv)
			}
		}
	}
}

// autoLaunch launches with everything about the bundle left open. sides says what the container's side is, launch by launch.
func autoLaunch(t *testing.T, secret echo.Secret, sides ...*fakeSidecar) (*Bottle, []BundleRuntime, error) {
	t.Helper()
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	t.Setenv("HOME", t.TempDir())
	t.Setenv("BOTTLE_TOPOLOGY", "")
	t.Setenv("BOTTLE_BUNDLE_RUNTIME", "")
	t.Cleanup(func() { bridge.reached.Store(false); bridge.missed.Store(false) })
	replies := []smolvmtest.Reply{smolvmtest.Version("1.9.3")}
	for _, v := range []string{"create", "start", "cp", "stop", "delete"} {
		replies = append(replies, smolvmtest.Reply{Argv: []string{"machine", v}, Times: smolvmtest.AnyTimes})
	}
	fake := smolvmtest.New(t, append(replies, smolvmtest.Reply{Guest: &smolvmtest.Guest{}, Times: smolvmtest.AnyTimes})...)
	cfg := Config{Name: "fake", Engine: Smolvm, Smolvm: fake.Path, Agent: fake.Path, Ungated: true, Artifacts: t.TempDir(), Logf: t.Logf}
	var asked []BundleRuntime
	b, err := run(t.Context(), cfg, secret, parts{func(r BundleRuntime) sidecar {
		asked = append(asked, r)
		return sides[len(asked)-1]
	}, findEngine, idleHost()})
	if err == nil {
		t.Cleanup(func() { _ = b.Close(t.Context()) })
	}
	return b, asked, err
}

func TestMachineWhereNoContainerEngineAnswers(t *testing.T) {
	secret := echo.NewSecret()
	b, asked, err := autoLaunch(t, secret, &fakeSidecar{failAt: "prepare", err: ErrUnavailable}, &fakeSidecar{at: newFakeCanary(t, secret)})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]BundleRuntime{Container, Machine}, asked); diff != "" || b.Plan().Runtime != Machine || b.Plan().Topology != Alias {
		t.Errorf("%s\n%s", diff, b.Plan())
	}
	if _, _, err := autoLaunch(t, secret, &fakeSidecar{failAt: "prepare"}); !errors.Is(err, errStep) {
		t.Errorf("an engine that fails is not one that is not there: %v", err)
	}
}

// TestBridgeIsFoundByDialling: the container's address is dialled once, and where that does not reach the bundle everything is
// done again with an alias, now and from then on.
func TestBridgeIsFoundByDialling(t *testing.T) {
	secret := echo.NewSecret()
	b, asked, err := autoLaunch(t, secret, &fakeSidecar{at: newFakeCanary(t, secret)})
	if err != nil || b.Plan().Topology != Bridge || len(asked) != 1 {
		t.Fatalf("a canary that answers: %v, %v", asked, err)
	}
	bridge.reached.Store(false)

	// Somebody answers at the address, and it is not the bundle: that is how another network looks from here.
	first, second := &fakeSidecar{at: newFakeCanary(t, echo.NewSecret())}, &fakeSidecar{at: newFakeCanary(t, secret)}
	b, asked, err = autoLaunch(t, secret, first, second)
	if err != nil || b.Plan().Topology != Alias || len(asked) != 2 {
		t.Fatalf("a canary that is somebody else's: %v, %v", asked, err)
	}
	for _, call := range []string{"remove", "removeNetwork"} {
		if !slices.Contains(first.calls, call) {
			t.Errorf("the first launch is not undone: %q", first.calls)
		}
	}
	if b, asked, err = autoLaunch(t, secret, &fakeSidecar{at: newFakeCanary(t, secret)}); err != nil || b.Plan().Topology != Alias || len(asked) != 1 {
		t.Errorf("it was not remembered: %v, %v", asked, err)
	}
}
