package bottletest

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

func TestBadConfigIsRefusedBeforeAnythingIsCreated(t *testing.T) {
	t.Setenv("BOTTLE_ENGINE", "")
	for name, tc := range map[string]struct {
		cfg  Config
		says string
	}{
		"upper case":      {Config{Name: "Upper"}, "Name"},
		"double hyphen":   {Config{Name: "a--b"}, "Name"},
		"too long":        {Config{Name: strings.Repeat("a", 25)}, "Name"},
		"unknown engine":  {Config{Engine: "qemu"}, "engine"},
		"unknown daemon":  {Config{Daemons: []string{"proxi"}}, "proxi"},
		"no such pack":    {Config{From: "/nowhere/x.smolmachine"}, "From"},
		"no such agent":   {Config{Agent: "/nowhere/agent"}, "Agent"},
		"a sound rewrite": {Config{Rewrite: func(args []string) []string { return args }}, "Ungated"},
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
