package reports

import (
	"cmp"
	"fmt"
	"net/netip"
	"regexp"
	"strings"

	"bottle.internal/probes"
)

// unlike is what two reports differ in beside their findings.
func unlike(old, new probes.Report) []string {
	var all []string
	was, is := circumstances(old), circumstances(new)
	for i, w := range was {
		if n := is[i]; w.value != n.value {
			all = append(all, fmt.Sprintf("%s: %s → %s", w.name, cmp.Or(w.value, "none"), cmp.Or(n.value, "none")))
		}
	}
	return all
}

// A circumstance is what a report is of, other than its findings.
type circumstance struct{ name, value string }

func circumstances(r probes.Report) []circumstance {
	simulated := ""
	if r.Simulated {
		simulated = " SIMULATED"
	}
	return []circumstance{
		{"engine", strings.TrimSpace(r.Engine + " " + r.Version + simulated)}, {"backend", r.Backend}, {"topology", r.Topology},
		{"policy asked for", Asked(r)}, {"policy effective", anywhere(r, r.Effective)}, {"profile", r.Profile}, {"kit", r.Kit},
	}
}

// Asked is the policy that r's run asked for, in one line, with a word in place of the allowed destination's address: that is another one in
// each bottle.
func Asked(r probes.Report) string { return anywhere(r, r.Asked) }

// likeAddress is text that may be an address.
var likeAddress = regexp.MustCompile(`[0-9A-Fa-f.:]*[0-9A-Fa-f:]`)

// anywhere is lines with a word in place of the allowed destination's address.
func anywhere(r probes.Report, lines []string) string {
	at, err := netip.ParseAddr(r.Allowed)
	if err != nil {
		return strings.Join(lines, ", ")
	}
	return likeAddress.ReplaceAllStringFunc(strings.Join(lines, ", "), func(text string) string {
		bare := strings.TrimRight(text, ":") // of "only 192.0.2.7: known by flag"
		if ip, err := netip.ParseAddr(bare); err == nil && ip == at {
			return "{allowed}" + text[len(bare):]
		}
		return text
	})
}
