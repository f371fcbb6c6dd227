package probes

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
)

// A Probe is one question about a sandbox. The catalogue is a table of them; what differs between probes is data.
type Probe struct {
	ID       string   `json:"id"` // stable
	Family   string   `json:"family"`
	Severity Severity `json:"severity"`
	Expect   Expect   `json:"expect"`

	What    string `json:"what"`    // what is tried
	Why     string `json:"why"`     // what it means when the expectation fails
	Control string `json:"control"` // what makes a result count
	Remedy  string `json:"remedy"`  // what to do then
	Source  string `json:"source"`  // where the failure was seen in public, or the expectation comes from

	// Backends are those on which the probe means something; nil is all. Elsewhere it is not applicable.
	Backends []string `json:"backends,omitempty"`
	// Where says in words on which backend and engine it means what.
	Where string `json:"where"`

	// aims finds what to dial at a site; nil of a scene.
	aims func(*rig) ([]aim, absence)
	// act names the act that asks a scene; "" is a probe that one batch answers.
	act string
	// lacks is why a scene means nothing at a site, "" if it means something; nil never lacks anything.
	lacks func(Site) string
	// most is what Most returns; "" goes by the family.
	most Assurance
}

// Scene reports whether the probe needs more than one batch in one sandbox, so that it runs only where Options.Scenes lets it, or where
// it is asked for by its id.
func (p Probe) Scene() bool { return p.act != "" }

// underPolicy are the families whose probes the policy or the sidecar decides, so that a twin without it and a log of it can tell.
var underPolicy = []string{"net.tcp", "net.udp", "net.icmp", "net.ipv6", "net.dns", "net.route", "proxy", "life", "policy.boundary"}

// On reports whether the probe means something on a backend.
func (p Probe) On(backend string) bool {
	return p.Backends == nil || slices.Contains(p.Backends, backend)
}

// Most is the assurance that a finding of the probe can have at most. Of what only the guest can tell, its files, its privileges and
// what it finds of sockets, there is no other witness and no policy to take away: L1.
func (p Probe) Most() Assurance {
	if p.most != "" {
		return p.most
	}
	if slices.Contains(underPolicy, p.Family) && p.ID != "net.tcp.inherited-fds" {
		return L4
	}
	return L1
}

// An absence is why a probe has nothing to dial. The zero absence is none.
type absence struct {
	why string
	// unproven marks an absence that is only the site's word: whoever asks for the probe by its id gets inconclusive.
	unproven bool
	// besides is what could not be tried although something was, "" if nothing: of aims, where there are some.
	besides string
}

// ErrUnknownProbe says that an id or pattern names no probe.
var ErrUnknownProbe = errors.New("probes: no such probe")

// All is the catalogue, ordered by id.
func All() []Probe {
	all := slices.Concat(tcpProbes, tcpHostProbes, sharedProbes, roadProbes(), evasionProbes, udpProbes, icmpProbes, ipv6Probes, dnsProbes, proxyProbes, originProbes,
		unixProbes, vsockProbes, kernelNetProbes, inboundProbes, fsProbes, credentialProbes, kernelProbes, resourceProbes, floodProbes,
		policyProbes, emptyProbes, sidecarProbes, siblingProbes, haltProbes, besideProbes, restartProbes, laterProbes, teardownProbes,
		rawNameProbes, injectionRows, nameProbes, answerProbes, candidProbes,
		boundaryProbes)
	slices.SortFunc(all, func(a, b Probe) int { return strings.Compare(a.ID, b.ID) })
	return all
}

// Lookup finds a probe by its id. The error, ErrUnknownProbe, names those that were perhaps meant.
func Lookup(id string) (Probe, error) { return lookup(All(), id) }

func lookup(all []Probe, id string) (Probe, error) {
	for _, p := range all {
		if p.ID == id {
			return p, nil
		}
	}
	return Probe{}, fmt.Errorf("%w: %q%s", ErrUnknownProbe, id, suggestion(id, all))
}

// Select finds probes by ids and by patterns such as "net.tcp.*", in which "*" and "?" match dots too. None given is all. Each
// probe comes once, in the catalogue's order. An id or pattern that matches nothing is ErrUnknownProbe.
func Select(patterns ...string) ([]Probe, error) { return choose(All(), patterns) }

func choose(all []Probe, patterns []string) ([]Probe, error) {
	if len(patterns) == 0 {
		return all, nil
	}
	wanted := make(map[string]bool)
	for _, pattern := range patterns {
		if !isPattern(pattern) {
			p, err := lookup(all, pattern)
			if err != nil {
				return nil, err
			}
			wanted[p.ID] = true
			continue
		}
		if err := selectPattern(pattern, all, wanted); err != nil {
			return nil, err
		}
	}
	return slices.DeleteFunc(all, func(p Probe) bool { return !wanted[p.ID] }), nil
}

func selectPattern(pattern string, all []Probe, wanted map[string]bool) error {
	matched := false
	for _, p := range all {
		ok, err := path.Match(pattern, p.ID)
		if err != nil {
			return fmt.Errorf("%w: %q: %w", ErrUnknownProbe, pattern, err)
		}
		if ok {
			wanted[p.ID], matched = true, true
		}
	}
	if !matched {
		return fmt.Errorf("%w: nothing matches %q%s", ErrUnknownProbe, pattern, suggestion(strings.Trim(pattern, "*?."), all))
	}
	return nil
}

func isPattern(s string) bool { return strings.ContainsAny(s, "*?[") }

// suggestion names the probes whose ids are near id, or says where the list is.
func suggestion(id string, all []Probe) string {
	type candidate struct {
		id       string
		distance int
	}
	var near []candidate
	for _, p := range all {
		d := distance(id, p.ID)
		if id != "" && strings.Contains(p.ID, id) {
			d = 0
		}
		if d <= max(2, len(p.ID)/3) {
			near = append(near, candidate{p.ID, d})
		}
	}
	if len(near) == 0 {
		return fmt.Sprintf("; there are %d, listed by All", len(all))
	}
	slices.SortStableFunc(near, func(a, b candidate) int { return a.distance - b.distance })
	var names []string
	for _, c := range near[:min(3, len(near))] {
		names = append(names, fmt.Sprintf("%q", c.id))
	}
	return "; perhaps " + strings.Join(names, " or ")
}

// distance is how many letters have to be put in, taken out or changed to make b of a.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
