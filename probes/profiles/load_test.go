package profiles

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"bottle.internal/probes"
)

const whole = `name: ours
description: what we know of
since: 1.2.0
through: 1.2.9
require: {critical: L4, high: L3, medium: L2, low: L1, info: L0}
max_inconclusive_percent: 5
waivers:
  - id: net.dns.*
    target: "*:53"
    expected: one-way
    reason: >-
      the resolver
      is open
    reference: smolvm#1
    owner: us
    expires: 2027-05-31
`

func write(t *testing.T, content string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "profile.yaml")
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestLoad(t *testing.T) {
	got, err := Load(write(t, whole))
	if err != nil {
		t.Fatal(err)
	}
	want := Profile{
		Name: "ours", Description: "what we know of", Since: "1.2.0", Through: "1.2.9", MaxInconclusivePercent: 5,
		Require: map[probes.Severity]probes.Assurance{probes.Critical: probes.L4, probes.High: probes.L3, probes.Medium: probes.L2, probes.Low: probes.L1, probes.Info: probes.L0},
		Waivers: []probes.Waiver{{
			ID: "net.dns.*", Target: "*:53", Expected: probes.OneWay, Reason: "the resolver is open", Reference: "smolvm#1", Owner: "us",
			Expires: time.Date(2027, 5, 31, 0, 0, 0, 0, time.UTC),
		}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestLoadDefaults(t *testing.T) {
	got, err := Load(write(t, "name: bare\nrequire: {}\nwaivers: []\ndescription:\n"))
	want := Profile{Name: "bare", MaxInconclusivePercent: 20, Require: map[probes.Severity]probes.Assurance{}}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	if got, err = Load(write(t, "name: none\nmax_inconclusive_percent: 0\n")); err != nil || got.MaxInconclusivePercent != 0 {
		t.Errorf("0 is %d: %v", got.MaxInconclusivePercent, err)
	}
}

// A mistake is a profile that is none, and what the error says of it. It is whole with to in place of from, or to alone where from is "".
type mistake struct{ from, to, want string }

var mistakes = map[string]mistake{
	"empty":                   {"", "", "it is empty"},
	"a comment":               {"", "# nothing\n", "it is empty"},
	"a list":                  {"", "- a\n", "line 1: cannot unmarshal !!seq"},
	"a word":                  {"", "strict\n", "line 1: cannot unmarshal !!str"},
	"no yaml":                 {"", "name: [\n", "line 1"},
	"two documents":           {"", whole + "---\nname: other\n", "more than one document"},
	"two documents, one torn": {"", whole + "---\n[\n", "more than one document"},
	"no name":                 {"name: ours\n", "", "it has no name"},
	"a name twice":            {"", whole + "name: again\n", "line 17: mapping key \"name\" already defined"},
	"an unknown key":          {"since: 1.2.0", "origin: 1.2.0", "line 3: field origin not found"},
	"an unknown severity":     {"critical: L4", "fatal: L4", "line 5: field fatal not found"},
	"an unknown waiver key":   {"    owner: us", "    owned: us", "line 15: field owned not found"},
	"an unknown level":        {"critical: L4", "critical: L5", `line 5: require critical: "L5"`},
	"a level as a number":     {"critical: L4", "critical: 4", `line 5: require critical: "4"`},
	"a level as a list":       {"critical: L4", "critical: [L4]", "line 5: want a word"},
	"levels as a word":        {"require: {critical: L4, high: L3, medium: L2, low: L1, info: L0}", "require: L1", "line 5: cannot unmarshal"},
	"a share of no number":    {"percent: 5", "percent: few", `line 6: max_inconclusive_percent: "few"`},
	"a share above all":       {"percent: 5", "percent: 101", "line 6"},
	"a share below none":      {"percent: 5", "percent: -1", "line 6"},
	"a share with a sign":     {"percent: 5", "percent: 5%", "line 6"},
	"one end only":            {"through: 1.2.9\n", "", "since and through"},
	"an end that is none":     {"since: 1.2.0", "since: 1.2", `line 3: since and through: "1.2"`},
	"an end before the start": {"through: 1.2.9", "through: 1.1.9", "line 3: since 1.2.0 is later"},
	"no id":                   {"id: net.dns.*", "id:", "line 9: waiver 1: id: it is missing"},
	"a broken pattern":        {"net.dns.*", "net.[dns", `line 8: waiver 1: id: "net.[dns" is no pattern`},
	"all families":            {"net.dns.*", `"*"`, "line 8: waiver 1: id: \"*\" names no family"},
	"any family":              {"net.dns.*", "n*.dns.x", "names no family"},
	"no target":               {`    target: "*:53"` + "\n", "", "line 8: waiver 1: target: it is missing"},
	"a target by name":        {`"*:53"`, "one.one.one.one", "line 9: waiver 1: target"},
	"host bits":               {`"*:53"`, "10.0.0.1/8", `line 9: waiver 1: target: "10.0.0.1/8" has bits beyond its length: write "10.0.0.0/8"`},
	"no observation":          {"    expected: one-way\n", "", "expected: it is missing"},
	"what is no leak":         {"one-way", "handshake-only", `line 10: waiver 1: expected: "handshake-only" is no leak`},
	"a blank reason":          {">-\n      the resolver\n      is open", `" "`, "line 11: waiver 1: reason: it is missing"},
	"no reference":            {"    reference: smolvm#1\n", "", "reference: it is missing"},
	"no owner":                {"owner: us", "owner: ~", "owner: it is missing"},
	"a wrong engine":          {"    owner: us\n", "    owner: us\n    engine: simulated\n", `line 16: waiver 1: engine: "simulated" is not "real"`},
	"no end":                  {"    expires: 2027-05-31\n", "", "waiver 1: expires: it is missing"},
	"never":                   {"2027-05-31", "never", `line 16: waiver 1: expires: "never" is no date`},
	"a day that is none":      {"2027-05-31", "2027-02-30", `line 16: waiver 1: expires: "2027-02-30" is no date`},
	"a waiver as a word":      {"", whole + "  - all\n", "line 17: cannot unmarshal !!str"},
	"two mistakes":            {"", strings.NewReplacer("owner: us", "owner:", "critical: L4", "critical: L7").Replace(whole), `"L7" is none of L0 to L4; line 8: waiver 1: owner`},
	"too long":                {"", whole + "# " + strings.Repeat("x", maxFile), "more than"},
}

func (m mistake) content(t *testing.T) string {
	t.Helper()
	if m.from == "" {
		return m.to
	}
	if strings.Count(whole, m.from) != 1 {
		t.Fatalf("%q stands not once in the profile", m.from)
	}
	return strings.Replace(whole, m.from, m.to, 1)
}

// Every mistake is refused, and the line it stands on is named.
func TestLoadRefuses(t *testing.T) {
	for name, m := range mistakes {
		p, err := Load(write(t, m.content(t)))
		if !errors.Is(err, ErrProfile) || !strings.Contains(err.Error(), m.want) || !strings.Contains(err.Error(), "profile.yaml") {
			t.Errorf("%s: %v\nwant %q", name, err, m.want)
		}
		if err != nil && strings.Contains(err.Error(), "profiles.document") {
			t.Errorf("%s: the error speaks of our types: %v", name, err)
		}
		if diff := cmp.Diff(Profile{}, p); diff != "" {
			t.Errorf("%s: a profile came back: %s", name, diff)
		}
	}
}

func TestLoadNoFile(t *testing.T) {
	if _, err := Load(filepath.Join(t.TempDir(), "none.yaml")); !errors.Is(err, fs.ErrNotExist) || errors.Is(err, ErrProfile) {
		t.Error(err)
	}
	if _, err := Load(t.TempDir()); err == nil {
		t.Error("a directory is a profile")
	}
}

// Whatever is in a file, it is refused or it is a profile whose waivers are whole and cover nothing beside what they name.
func FuzzLoad(f *testing.F) {
	f.Add([]byte(whole))
	for _, name := range Names() {
		b, err := files.ReadFile("builtin/" + name + ".yaml")
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	for _, s := range []string{"a: &a [*a]", "name: x\nwaivers:\n  - &w {id: net.x, target: '*'}\n  - *w\n", "<<: {name: x}", "name: !!binary eA==", "%YAML 1.1\n---\nname: x\n...", "\xff\xfe"} {
		f.Add([]byte(s))
	}
	rep := probes.Report{Findings: []probes.Finding{leak(answered(place53)), leak(silent(place53)), verdict(probes.Overblocked, sent(place53)), verdict(probes.Inconclusive, sent(place53))}}
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := parse("fuzz", b)
		if err != nil {
			if !errors.Is(err, ErrProfile) {
				t.Errorf("%v is no ErrProfile", err)
			}
			return
		}
		if strings.TrimSpace(p.Name) == "" || p.MaxInconclusivePercent < 0 || p.MaxInconclusivePercent > 100 {
			t.Errorf("%+v is a profile", p)
		}
		for _, w := range p.Waivers {
			if all := flaws(w); len(all) > 0 {
				t.Errorf("%+v: %v", w, all)
			}
		}
		got, notices := p.Apply(rep, now)
		for i, want := range []probes.Verdict{probes.Leak, probes.Leak, probes.Overblocked, probes.Inconclusive} {
			if f := got.Findings[i]; f.Verdict != want && (i > 0 || len(f.Waivers) == 0) {
				t.Errorf("finding %d became %s", i, f)
			}
		}
		if len(notices) > len(p.Waivers) {
			t.Errorf("%d notices of %d waivers", len(notices), len(p.Waivers))
		}
	})
}
