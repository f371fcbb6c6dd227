// Package host says which engine this host's run is about, and never picks one in silence.
package host

import (
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
)

// An Engine is what launches the bottles of a run.
type Engine struct {
	// Simulated is whether it is smolvm-sim, asked for by name.
	Simulated bool
	// Chosen is true where nobody asked: the kit's own targets take the simulator on a Linux host that has no smolvm.
	Chosen bool
	// Only narrows the variants of a run: a field that is not "" is asked for.
	Only Variant
}

// A Variant is one kind of bottle. A field that is "" is left to the launch: the installed smolvm, the topology that works here,
// the bundle's runtime that is there.
type Variant struct {
	Personality string // the release whose behaviour the simulator shows
	Topology    string // "bridge" or "alias"
	Runtime     string // of the bundle: "container" or "machine"
}

// The values of a Variant, as the launch spells them.
const (
	bridge    = "bridge"
	alias     = "alias"
	container = "container"
	machine   = "machine"
)

// personalities cover both network backends and the releases between which most changed: tsi with a policy (0.8.0), the first
// virtio-net (1.1.3), the one that stops dropping the policy of a pack (1.8.0), and the newest known.
var personalities = []string{"0.8.0", "1.1.3", "1.8.0", "1.9.3"}

// Detect chooses from the environment and PATH: $BOTTLE_ENGINE where it is set, else the real smolvm, else, on Linux only, the
// simulator. $SMOLVM_SIM_VERSION, $BOTTLE_TOPOLOGY and $BOTTLE_BUNDLE_RUNTIME narrow the variants.
func Detect() Engine {
	return detect(runtime.GOOS, os.Getenv, exec.LookPath)
}

func detect(goos string, getenv func(string) string, look func(string) (string, error)) Engine {
	asked := getenv("BOTTLE_ENGINE")
	_, err := look("smolvm")
	absent := err != nil && getenv("BOTTLE_SMOLVM") == ""
	e := Engine{Only: Variant{Topology: getenv("BOTTLE_TOPOLOGY"), Runtime: getenv("BOTTLE_BUNDLE_RUNTIME")}}
	e.Chosen = asked == "" && goos == "linux" && absent
	if e.Simulated = asked == "sim" || e.Chosen; e.Simulated {
		e.Only.Personality = getenv("SMOLVM_SIM_VERSION")
	}
	return e
}

// Variants are the kinds of bottle that a run covers; containers says whether a container engine answers: without one a bundle
// is a second machine. The real smolvm has one variant, the simulator several.
func (e Engine) Variants(containers bool) []Variant {
	if !e.Simulated {
		return []Variant{e.Only}
	}
	some := personalities
	if e.Only.Personality != "" {
		some = []string{e.Only.Personality}
	}
	return slices.DeleteFunc(variants(some, containers), func(v Variant) bool {
		return !fits(v.Topology, e.Only.Topology) || !fits(v.Runtime, e.Only.Runtime)
	})
}

// fits reports whether value is what was asked for; "" asks for nothing.
func fits(value, asked string) bool { return asked == "" || value == asked }

// variants are every personality in the topology that is there anyway: the bridge where there are containers, else an alias, since
// a bundle that is a second machine has no bridge. Where there are containers the other ways are tried on the outermost personalities,
// one for each network backend: a cold run with its builds is to stay below five minutes.
func variants(some []string, containers bool) []Variant {
	var all []Variant
	for _, p := range some {
		outermost := p == some[0] || p == some[len(some)-1]
		if containers {
			all = append(all, Variant{p, bridge, container})
		}
		if containers && outermost {
			all = append(all, Variant{p, alias, container})
		}
		if !containers || outermost {
			all = append(all, Variant{p, alias, machine})
		}
	}
	return all
}

// Outermost are the first and the last variant of the first and of the last personality in all: what every spec in between shares
// with one of them needs no bottle of its own to be broken.
func Outermost(all []Variant) []Variant {
	var some []Variant
	for i, v := range all {
		if v.Personality != all[0].Personality && v.Personality != all[len(all)-1].Personality {
			continue
		}
		first := i == 0 || all[i-1].Personality != v.Personality
		last := i == len(all)-1 || all[i+1].Personality != v.Personality
		if first || last {
			some = append(some, v)
		}
	}
	return some
}

// String is the variant in one word that can name a directory, such as "0.8.0-alias-machine".
func (v Variant) String() string {
	words := []string{v.Personality}
	if v.Personality == "" {
		words[0] = "installed"
	}
	for _, w := range []string{v.Topology, v.Runtime} {
		if w != "" {
			words = append(words, w)
		}
	}
	return strings.Join(words, "-")
}

// Env is what a process that launches bottles of this kind needs in its environment.
func (v Variant) Env() []string {
	var env []string
	for _, kv := range [][2]string{{"SMOLVM_SIM_VERSION", v.Personality}, {"BOTTLE_TOPOLOGY", v.Topology}, {"BOTTLE_BUNDLE_RUNTIME", v.Runtime}} {
		if kv[1] != "" {
			env = append(env, kv[0]+"="+kv[1])
		}
	}
	return env
}

// Env is what a process that launches bottles needs in its environment besides this process's own.
func (e Engine) Env() []string {
	if e.Simulated {
		return []string{"BOTTLE_ENGINE=sim"}
	}
	return nil
}

// Banner is the line that a run prints first and last; "" for the real smolvm.
func (e Engine) Banner() string {
	switch {
	case !e.Simulated:
		return ""
	case e.Chosen:
		return "SIMULATED: there is no smolvm on PATH, so the bottles of this run are the simulator's. It proves the kit and not a VM."
	default:
		return "SIMULATED: BOTTLE_ENGINE=sim, so the bottles of this run are the simulator's. It proves the kit and not a VM."
	}
}
