package profiles

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"bottle.internal/probes"
)

// ladders order the observations that make a leak, from the least; between two ladders there is no order. A datagram that went
// out is less than one that was answered, and what can be read is less than what can be written.
var ladders = [][]probes.Observation{
	{probes.OneWay, probes.Reachable},
	{probes.Readable, probes.Writable},
}

// within reports whether have is no worse than the expected observation. What is on no ladder is worse than everything.
func within(have, expected probes.Observation) bool {
	for _, l := range ladders {
		if i, most := slices.Index(l, have), slices.Index(l, expected); i >= 0 && i <= most {
			return true
		}
	}
	return false
}

// effect is what an attempt that leaked comes to. The evidence of both sides goes before the word that was found for it.
func effect(a probes.Attempt) probes.Observation {
	switch {
	case a.Proved:
		return probes.Reachable
	case within(a.Observation, probes.Writable):
		return a.Observation
	case a.Shown != "", a.Reply != "" && len(a.Sightings) > 0: // something came back, by whatever name
		return probes.Reachable
	case within(a.Observation, probes.Reachable):
		return a.Observation
	case len(a.Sightings) > 0:
		return probes.OneWay
	}
	return a.Observation
}

// A flaw is what is wrong with a field of a waiver.
type flaw struct{ field, text string }

// flaws are all that is wrong with w: whoever waives a leak says which, why, where that can be read, who answers, and until when.
func flaws(w probes.Waiver) []flaw {
	var all []flaw
	for _, f := range [][2]string{{"id", w.ID}, {"target", w.Target}, {"expected", string(w.Expected)}, {"reason", w.Reason}, {"reference", w.Reference}, {"owner", w.Owner}} {
		if strings.TrimSpace(f[1]) == "" {
			all = append(all, flaw{f[0], "it is missing"})
		}
	}
	if w.Expires.IsZero() {
		all = append(all, flaw{"expires", "it is missing"})
	}
	if text := wrongID(w.ID); text != "" {
		all = append(all, flaw{"id", text})
	}
	if _, err := parsePlace(w.Target); w.Target != "" && err != nil {
		all = append(all, flaw{"target", err.Error()})
	}
	if w.Expected != "" && !within(w.Expected, w.Expected) {
		all = append(all, flaw{"expected", fmt.Sprintf("%q is no leak: want one of %q", w.Expected, slices.Concat(ladders...))})
	}
	if w.Engine != "" && w.Engine != probes.RealEngine {
		all = append(all, flaw{"engine", fmt.Sprintf("%q is not %q", w.Engine, probes.RealEngine)})
	}
	return all
}

// wrongID is what is wrong with an id or pattern. One that does not even name a family would waive what nobody thought of.
func wrongID(id string) string {
	if _, err := path.Match(id, ""); err != nil {
		return fmt.Sprintf("%q is no pattern", id)
	}
	if family, _, _ := strings.Cut(id, "."); strings.ContainsAny(family, `*?[\`) {
		return fmt.Sprintf("%q names no family of probes", id)
	}
	return ""
}
