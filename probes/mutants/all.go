package mutants

import (
	"slices"

	"bottle.internal/probes"
)

// The sound bottles: both network backends, and both ways to the bundle.
var (
	tsi         = Base{Version: "0.8.0", Topology: "bridge"}
	tsiAlias    = Base{Version: "0.8.0", Topology: "alias"}
	virtio      = Base{Version: "1.9.3", Topology: "bridge"}
	virtioAlias = Base{Version: "1.9.3", Topology: "alias"}
)

// All is the list, in the order of the matrix.
func All() []Mutant {
	return slices.Concat(faultMutants, policyMutants, bundleMutants, harnessMutants, sceneMutants)
}

func on(all ...Base) []Base { return all }

func leaks(patterns ...string) Kill { return Kill{Probes: patterns, Verdict: probes.Leak} }

func unknown(patterns ...string) Kill { return Kill{Probes: patterns, Verdict: probes.Inconclusive} }
