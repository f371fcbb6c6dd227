package bottletest

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/testcontainers/testcontainers-go"

	"bottle.internal/bundle"
)

func TestBadConfigIsRefusedBeforeAnythingIsCreated(t *testing.T) {
	t.Setenv("BOTTLE_ENGINE", "")
	for name, tc := range map[string]struct {
		cfg  Config
		says string
	}{
		"upper case":              {Config{Name: "Upper"}, "Name"},
		"double hyphen":           {Config{Name: "a--b"}, "Name"},
		"too long":                {Config{Name: strings.Repeat("a", 25)}, "Name"},
		"unknown engine":          {Config{Engine: "qemu"}, "engine"},
		"unknown daemon":          {Config{Daemons: []string{"proxi"}}, "proxi"},
		"no such pack":            {Config{Image: "/nowhere/x.smolmachine"}, "Image"},
		"no reference":            {Config{Image: "No Such"}, "Image"},
		"no such agent":           {Config{Agent: "/nowhere/agent"}, "Agent"},
		"topology":                {Config{Topology: "gateway"}, "topology"},
		"runtime":                 {Config{BundleRuntime: "pod"}, "runtime"},
		"a machine has no bridge": {Config{BundleRuntime: Machine, Topology: Bridge}, "bridge"},
		"a machine has no image":  {Config{BundleRuntime: Machine, BundleImage: "mine:1"}, "BundleImage"},
		"no proxy of ours":        {Config{ProxyOrigin: true, BundleImage: "mine:1"}, "ProxyOrigin"},
		"port 0":                  {Config{Publish: []uint16{0}}, "Publish"},
		"a sound rewrite":         {Config{Rewrite: func(args []string) []string { return args }}, "Ungated"},
	} {
		_, err := Run(t.Context(), tc.cfg)
		if !errors.Is(err, ErrConfig) || !strings.Contains(err.Error(), tc.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := (Config{}).check(); err != nil {
		t.Errorf("the zero Config is refused: %v", err)
	}
}

// TestSimulatorIsNeverTakenUnasked: a default that swaps a VM for a shared kernel is what this project exists to catch.
func TestSimulatorIsNeverTakenUnasked(t *testing.T) {
	t.Setenv("BOTTLE_ENGINE", "")
	if e := (Config{}).engine(); e != Smolvm {
		t.Errorf("the default engine is %q", e)
	}
	t.Setenv("BOTTLE_ENGINE", "sim")
	if e := (Config{}).engine(); e != Simulator {
		t.Errorf("BOTTLE_ENGINE=sim gives %q", e)
	}
	if e := (Config{Engine: Smolvm}).engine(); e != Smolvm {
		t.Errorf("the environment overrules Config.Engine: %q", e)
	}
}

// TestFaultOfTheEnvironmentIsNotLost: a person who asks for a broken machine and gets a sound one reads a green line that
// proves nothing.
func TestFaultOfTheEnvironmentIsNotLost(t *testing.T) {
	t.Setenv("SMOLVM_SIM_FAULTS", "no-network")
	if env := engineEnv(Config{}, Simulator); !slices.Contains(env, "SMOLVM_SIM_FAULTS=no-network") {
		t.Errorf("%q", env)
	}
	if env := engineEnv(Config{Sim: SimConfig{Faults: []string{"exec-137-once"}}}, Simulator); !slices.Contains(env, "SMOLVM_SIM_FAULTS=exec-137-once") {
		t.Errorf("the environment overrules SimConfig: %q", env)
	}
	if env := engineEnv(Config{}, Smolvm); len(env) != 0 {
		t.Errorf("the real smolvm is given %q", env)
	}
}

// TestWhatMayRunTheBundle: a machine stands in only for a container that nothing asks for.
func TestWhatMayRunTheBundle(t *testing.T) {
	t.Setenv("BOTTLE_TOPOLOGY", "")
	t.Setenv("BOTTLE_BUNDLE_RUNTIME", "")
	for name, tc := range map[string]struct {
		cfg Config
		may bool
	}{
		"nothing said":    {Config{}, true},
		"topology alias":  {Config{Topology: Alias}, true},
		"machine":         {Config{BundleRuntime: Machine}, true},
		"topology bridge": {Config{Topology: Bridge}, false},
		"container":       {Config{BundleRuntime: Container}, false},
		"an image":        {Config{BundleImage: "mine:1"}, false},
		"an option":       {Config{BundleOptions: []testcontainers.ContainerCustomizer{bundle.WithName("x")}}, true},
		"a container's":   {Config{BundleOptions: []testcontainers.ContainerCustomizer{testcontainers.WithEnv(nil)}}, false},
	} {
		if got := tc.cfg.mayBeMachine(); got != tc.may {
			t.Errorf("%s: %v", name, got)
		}
	}
	t.Setenv("BOTTLE_TOPOLOGY", "alias")
	t.Setenv("BOTTLE_BUNDLE_RUNTIME", "machine")
	if c := (Config{}); c.topology() != Alias || c.runtime() != Machine {
		t.Errorf("the environment says %q, %q", c.topology(), c.runtime())
	}
	if c := (Config{Topology: Bridge, BundleRuntime: Container}); c.topology() != Bridge || c.runtime() != Container {
		t.Errorf("the environment overrules the Config: %q, %q", c.topology(), c.runtime())
	}
}
