package reports

import (
	"fmt"
	"strings"
	"sync"

	"bottle.internal/internal/echo"
	"bottle.internal/probes"
)

// green reports whether v asks nothing of anybody: it holds, it is answered for, or it means nothing here. What is not known is not
// green, nor is a verdict that is none of ours.
func green(v probes.Verdict) bool {
	return v == probes.Contained || v == probes.Exposed || v == probes.NotApplicable
}

// beyond is why r is red though no finding is, "" if it is not: the report is invalid, or nothing was executed.
func beyond(r probes.Report) string {
	if r.Invalid != "" {
		return r.Invalid
	}
	for _, f := range r.Findings {
		if !green(f.Verdict) {
			return ""
		}
	}
	if r.ExitCode() != 0 {
		return "no probe was executed, so nothing is known"
	}
	return ""
}

// catalogue is the catalogue by id. Lookup would search it for each finding, and compare an id that it does not have with all.
var catalogue = sync.OnceValue(func() map[string]probes.Probe {
	byID := make(map[string]probes.Probe)
	for _, p := range probes.All() {
		byID[p.ID] = p
	}
	return byID
})

// family is what a probe belongs to, by the catalogue, and of a probe that it does not have (any more) by its id.
func family(id string) string {
	if p, ok := catalogue()[id]; ok {
		return p.Family
	}
	words := strings.Split(id, ".")
	return strings.Join(words[:max(1, min(2, len(words)-1))], ".")
}

// evidence is all that is known of f, a line each.
func evidence(f probes.Finding) []string {
	lines := strings.Split(f.String(), "\n")
	if f.StoppedBy != "" {
		lines = append(lines, "  stopped by: "+f.StoppedBy)
	}
	for _, a := range f.Attempts {
		for _, detail := range details(a) {
			lines = append(lines, fmt.Sprintf("  round %d at %s: %s", a.Round, a.Target, detail))
		}
	}
	return lines
}

// details are what an attempt's line does not say.
func details(a probes.Attempt) []string {
	var all []string
	for _, s := range a.Sightings {
		all = append(all, sighting(s))
	}
	for _, s := range a.Elsewhere {
		all = append(all, "at the allowed destination instead: "+sighting(s))
	}
	for _, named := range [][2]string{{"answer", a.Reply}, {"gave away", a.Shown}, {"lacks", a.Lacks}} {
		if named[1] != "" {
			all = append(all, named[0]+": "+named[1])
		}
	}
	if a.Forged {
		all = append(all, "the answer bears a proof that the target did not make")
	}
	return all
}

func sighting(s echo.Sighting) string {
	return fmt.Sprintf("%s saw it by %s at %s from %s, %s", s.Name, s.Network, s.Local, s.Peer, s.Time.UTC().Format("15:04:05.000"))
}
