package host

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestDetect(t *testing.T) {
	for _, c := range []struct {
		name string
		goos string
		path bool // smolvm is on PATH
		env  map[string]string
		want Engine
	}{
		{"Linux without smolvm", "linux", false, nil, Engine{Simulated: true, Chosen: true}},
		{"Linux with smolvm", "linux", true, nil, Engine{}},
		{"Linux, smolvm named", "linux", false, map[string]string{"BOTTLE_SMOLVM": "/opt/smolvm"}, Engine{}},
		{"the simulator by name", "linux", true, map[string]string{"BOTTLE_ENGINE": "sim"}, Engine{Simulated: true}},
		{"one personality", "linux", false, map[string]string{"SMOLVM_SIM_VERSION": "1.9.3"}, Engine{Simulated: true, Chosen: true, Only: Variant{Personality: "1.9.3"}}},
		{"a personality means nothing to the real one", "linux", true, map[string]string{"SMOLVM_SIM_VERSION": "1.9.3"}, Engine{}},
		{"one topology and runtime", "linux", true, map[string]string{"BOTTLE_TOPOLOGY": "alias", "BOTTLE_BUNDLE_RUNTIME": "machine"}, Engine{Only: Variant{Topology: "alias", Runtime: "machine"}}},
		{"macOS without smolvm", "darwin", false, nil, Engine{}},
		{"the real one by name", "linux", false, map[string]string{"BOTTLE_ENGINE": "smolvm"}, Engine{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			look := func(string) (string, error) {
				if c.path {
					return "/usr/bin/smolvm", nil
				}
				return "", exec.ErrNotFound
			}
			have := detect(c.goos, func(k string) string { return c.env[k] }, look)
			if d := cmp.Diff(c.want, have); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestVariants(t *testing.T) {
	for _, c := range []struct {
		name       string
		engine     Engine
		containers bool
		want       string
	}{
		{"the real smolvm", Engine{}, true, "installed"},
		{"the real smolvm, narrowed", Engine{Only: Variant{Topology: "alias"}}, true, "installed-alias"},
		{"with containers", Engine{Simulated: true}, true, "0.8.0-bridge-container 0.8.0-alias-container 0.8.0-alias-machine " +
			"1.1.3-bridge-container 1.8.0-bridge-container " +
			"1.9.3-bridge-container 1.9.3-alias-container 1.9.3-alias-machine"},
		{"without", Engine{Simulated: true}, false, "0.8.0-alias-machine 1.1.3-alias-machine 1.8.0-alias-machine 1.9.3-alias-machine"},
		{"one personality", Engine{Simulated: true, Only: Variant{Personality: "1.2.5"}}, false, "1.2.5-alias-machine"},
		{"one topology", Engine{Simulated: true, Only: Variant{Personality: "1.2.5", Topology: "bridge"}}, true, "1.2.5-bridge-container"},
		{"what cannot be had", Engine{Simulated: true, Only: Variant{Topology: "bridge"}}, false, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			if d := cmp.Diff(c.want, words(c.engine.Variants(c.containers))); d != "" {
				t.Error(d)
			}
		})
	}
	for containers, want := range map[bool]string{
		false: "0.8.0-alias-machine 1.9.3-alias-machine",
		true:  "0.8.0-bridge-container 0.8.0-alias-machine 1.9.3-bridge-container 1.9.3-alias-machine",
	} {
		if d := cmp.Diff(want, words(Outermost(Engine{Simulated: true}.Variants(containers)))); d != "" {
			t.Error(d)
		}
	}
}

func words(all []Variant) string {
	var names []string
	for _, v := range all {
		names = append(names, v.String())
	}
	return strings.Join(names, " ")
}

func TestAVariantIsAskedForInTheEnvironment(t *testing.T) {
	if d := cmp.Diff([]string{"SMOLVM_SIM_VERSION=0.8.0", "BOTTLE_TOPOLOGY=alias", "BOTTLE_BUNDLE_RUNTIME=machine"}, Variant{"0.8.0", "alias", "machine"}.Env()); d != "" {
		t.Error(d)
	}
	if env := (Variant{}).Env(); env != nil {
		t.Errorf("the installed one: %q", env)
	}
}

func TestASimulatedRunSaysSo(t *testing.T) {
	for _, e := range []Engine{{Simulated: true}, {Simulated: true, Chosen: true}} {
		if !strings.Contains(e.Banner(), "not a VM") || len(e.Env()) == 0 {
			t.Errorf("%+v: %q, %q", e, e.Banner(), e.Env())
		}
	}
	if e := (Engine{}); e.Banner() != "" || e.Env() != nil {
		t.Errorf("the real smolvm: %q, %q", e.Banner(), e.Env())
	}
}
