package killing

import (
	"slices"

	"bottle.internal/probes"
	"bottle.internal/probes/mutants"
)

// scenesOf are the scenes by which mutants among all that are made of on have to be noticed.
func scenesOf(all []mutants.Mutant, on mutants.Base) []string {
	var ids []string
	for _, m := range all {
		if !m.Scenes || !slices.Contains(m.On, on) {
			continue
		}
		for _, k := range m.Kills {
			some, _ := probes.Select(k.Probes...) // a test holds the table to the catalogue
			for _, p := range some {
				if p.Scene() && !slices.Contains(ids, p.ID) {
					ids = append(ids, p.ID)
				}
			}
		}
	}
	return ids
}

// asked are all probes but for the scenes that are not among scenes: a scene takes seconds, and the others would say of the bottle what
// they say of it elsewhere. They are patterns that one probe matches, since who asks for a probe by its id is answered otherwise where it
// means nothing.
func asked(scenes []string) []string {
	var patterns []string
	for _, p := range probes.All() {
		if p.Scene() && !slices.Contains(scenes, p.ID) {
			continue
		}
		last := len(p.ID) - 1
		patterns = append(patterns, p.ID[:last]+"["+p.ID[last:]+"]")
	}
	return patterns
}
