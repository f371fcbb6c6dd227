package profiles

import (
	"errors"
	"maps"
	"path"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"bottle.internal/probes"
)

// pending are the ids of builtin waivers for which the catalogue has no probe yet. Whoever adds the probe takes the id out.
var pending []string

// maxMonths is how far away the end of a builtin waiver may be: whoever prolongs it looks at it again.
const maxMonths = 18

func builtins(t *testing.T) []Profile {
	t.Helper()
	var all []Profile
	for _, name := range Names() {
		p, err := Builtin(name)
		if err != nil {
			t.Fatal(err)
		}
		if p.Name != name || p.Description == "" {
			t.Errorf("%s names itself %q, %q", name, p.Name, p.Description)
		}
		all = append(all, p)
	}
	return all
}

func TestNames(t *testing.T) {
	want := []string{"smolvm-0.8.0", "smolvm-0.8.1", "smolvm-1.1.3", "standard", "strict"}
	if diff := cmp.Diff(want, Names()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestBuiltin(t *testing.T) {
	for _, p := range builtins(t) {
		if p.MaxInconclusivePercent != 20 {
			t.Errorf("%s: %d %%", p.Name, p.MaxInconclusivePercent)
		}
		generation := strings.HasPrefix(p.Name, "smolvm-")
		if generation != (len(p.Waivers) > 0) || generation != (p.Since != "") || generation && p.Name != "smolvm-"+p.Since {
			t.Errorf("%s: since %q, %d waivers", p.Name, p.Since, len(p.Waivers))
		}
		if p.Name != Standard && !maps.Equal(p.Require, must(Strict).Require) {
			t.Errorf("%s demands %v, less or more than strict", p.Name, p.Require)
		}
	}
	if got := must("").Name; got != Strict {
		t.Errorf("the default is %s", got)
	}
	if _, err := Builtin("lax"); !errors.Is(err, ErrUnknown) || !strings.Contains(err.Error(), Standard) {
		t.Error(err)
	}
	if _, err := Builtin("../doc"); !errors.Is(err, ErrUnknown) {
		t.Error(err)
	}
}

// What strict demands is the rule's own (prior-art §4), and standard demands no less of anything than the judge.
func TestWhatIsDemanded(t *testing.T) {
	want := map[probes.Severity]probes.Assurance{probes.Critical: probes.L3, probes.High: probes.L2, probes.Medium: probes.L1, probes.Low: probes.L1, probes.Info: probes.L1}
	if diff := cmp.Diff(want, must(Strict).Require); diff != "" {
		t.Errorf("strict (-want +got):\n%s", diff)
	}
	for severity := range want {
		want[severity] = probes.L1
	}
	if diff := cmp.Diff(want, must(Standard).Require); diff != "" {
		t.Errorf("standard (-want +got):\n%s", diff)
	}
}

// Every waiver is whole, of an end that is near enough, and names a probe that is there or is known not to be.
func TestBuiltinWaivers(t *testing.T) {
	var missing []string
	for _, p := range builtins(t) {
		for _, w := range p.Waivers {
			if all := flaws(w); len(all) > 0 {
				t.Errorf("%s: %s: %v", p.Name, w, all)
			}
			if w.Expires.After(time.Now().AddDate(0, maxMonths, 0)) {
				t.Errorf("%s: %s ends in more than %d months", p.Name, w, maxMonths)
			}
			if !strings.HasPrefix(w.Reference, "https://") {
				t.Errorf("%s: %s refers to nothing public", p.Name, w)
			}
			if !inCatalogue(w.ID) {
				missing = append(missing, w.ID)
			}
		}
	}
	slices.Sort(missing)
	if diff := cmp.Diff(pending, slices.Compact(missing)); diff != "" {
		t.Errorf("ids of waivers without a probe (-listed as pending +missing): add the probe, or take it off the list, or mend the waiver:\n%s", diff)
	}
}

func inCatalogue(id string) bool {
	return slices.ContainsFunc(probes.All(), func(p probes.Probe) bool {
		ok, err := path.Match(id, p.ID)
		return ok && err == nil
	})
}

func TestFor(t *testing.T) {
	for version, want := range map[string]string{
		"0.8.0": "smolvm-0.8.0", "smolvm 0.8.0": "smolvm-0.8.0", "v0.8.0": "smolvm-0.8.0", "0.8.0 (simulated)": "smolvm-0.8.0",
		"0.8.1": "smolvm-0.8.1", "0.10.0": "smolvm-0.8.1", "1.0.2": "smolvm-0.8.1", "1.1.2": "smolvm-0.8.1",
		"1.1.3": "smolvm-1.1.3", "1.2.5": "smolvm-1.1.3", "1.8.0": "smolvm-1.1.3", "1.9.3 (simulated)": "smolvm-1.1.3",
		"0.7.9": Strict, "1.9.4": Strict, "1.10.1": Strict, "2.0.0": Strict, "": Strict, "1.9": Strict, "1.9.3-rc1": Strict, "docker 1.9.3": Strict, "1.9.-3": Strict,
	} {
		if got := For(version).Name; got != want {
			t.Errorf("%q: %s, want %s", version, got, want)
		}
	}
}

// Generations follow one another, and none begins where another has not ended.
func TestGenerationsDoNotOverlap(t *testing.T) {
	var last release
	for _, p := range builtins(t) {
		if p.Since == "" {
			continue
		}
		since, err := parseRelease(p.Since)
		through, err2 := parseRelease(p.Through)
		if err != nil || err2 != nil || slices.Compare(since[:], last[:]) <= 0 {
			t.Errorf("%s: %s to %s after %v: %v, %v", p.Name, p.Since, p.Through, last, err, err2)
		}
		last = through
	}
}

// What a generation is known to let through is exposed under its own profile, and red where the generation is another.
func TestGenerations(t *testing.T) {
	gateway := leak(attempt("8.8.8.8:53", func(a *probes.Attempt) { a.Observation, a.Reply, a.Sightings = probes.OneWay, "answer", seen() }))
	gateway.ID = "net.dns.direct.udp"
	added := leak(answered("1.1.1.1:443"))
	added.ID = "net.tcp.resolver.other-port"
	router := leak(answered("192.168.1.1:22"))
	router.ID = added.ID
	port := leak(answered("172.20.0.2:9"))
	port.ID = "net.tcp.allowed-ip.other-port"
	loopback := leak(answered("127.0.0.1:22"))
	loopback.ID = "net.tcp.loopback.v4"
	for version, want := range map[string][]probes.Verdict{
		"0.8.0":  {probes.Leak, probes.Exposed, probes.Leak, probes.Exposed, probes.Leak},
		"1.0.2":  {probes.Leak, probes.Exposed, probes.Exposed, probes.Exposed, probes.Leak},
		"1.9.3":  {probes.Exposed, probes.Leak, probes.Leak, probes.Exposed, probes.Leak},
		"1.16.0": {probes.Leak, probes.Leak, probes.Leak, probes.Leak, probes.Leak},
	} {
		rep, _ := For(version).Apply(probes.Report{Findings: []probes.Finding{gateway, added, router, port, loopback}}, now)
		for i, f := range rep.Findings {
			if f.Verdict != want[i] {
				t.Errorf("%s: %s, want %s", version, f, want[i])
			}
		}
	}
}
