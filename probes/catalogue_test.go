package probes

import (
	"encoding/json"
	"errors"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// Every row is whole: whoever asks for a probe is told what, why, by which control, what to do, and where it means something.
func TestCatalogueIsWhole(t *testing.T) {
	form := regexp.MustCompile(`^[a-z]+(\.[a-z0-9-]+){1,3}$`)
	all := All()
	if !slices.IsSortedFunc(all, func(a, b Probe) int { return strings.Compare(a.ID, b.ID) }) {
		t.Error("not ordered by id")
	}
	seen := make(map[string]bool)
	for _, p := range all {
		if seen[p.ID] {
			t.Errorf("%s is there twice", p.ID)
		}
		seen[p.ID] = true
		if !form.MatchString(p.ID) || !strings.HasPrefix(p.ID, p.Family+".") {
			t.Errorf("%q of family %q is no id", p.ID, p.Family)
		}
		for name, text := range map[string]string{"What": p.What, "Why": p.Why, "Control": p.Control, "Remedy": p.Remedy, "Source": p.Source, "Where": p.Where} {
			if text == "" {
				t.Errorf("%s has no %s", p.ID, name)
			}
		}
		if (p.aims == nil) == (p.act == "") || (p.Expect != Contain && p.Expect != Reach) {
			t.Errorf("%s: expects %q", p.ID, p.Expect)
		}
		if !slices.Contains([]Severity{Critical, High, Medium, Low, Info}, p.Severity) {
			t.Errorf("%s: severity %q", p.ID, p.Severity)
		}
	}
	if _, err := json.Marshal(all); err != nil {
		t.Error(err)
	}
}

// fixture is a catalogue for tests of how probes are chosen, whatever the real one holds.
func fixture() []Probe {
	var all []Probe
	for _, id := range []string{"net.tcp.allowed.v4", "net.tcp.loopback.v4", "net.tcp.loopback.v6", "net.tcp.testnet.v4", "proxy.admin-surface"} {
		all = append(all, Probe{ID: id})
	}
	return all
}

func TestSelect(t *testing.T) {
	const (
		allowed = "net.tcp.allowed.v4"
		four    = "net.tcp.loopback.v4"
		six     = "net.tcp.loopback.v6"
		testnet = "net.tcp.testnet.v4"
		admin   = "proxy.admin-surface"
	)
	for _, c := range []struct {
		patterns []string
		want     []string
	}{
		{nil, []string{allowed, four, six, testnet, admin}},
		{[]string{"*"}, []string{allowed, four, six, testnet, admin}},
		{[]string{admin, four}, []string{four, admin}},
		{[]string{four, four, "net.tcp.loopback.*"}, []string{four, six}},
		{[]string{"net.*.v4"}, []string{allowed, four, testnet}},
		{[]string{"*.v?"}, []string{allowed, four, six, testnet}},
		{[]string{"net.tcp.loopback.v[46]"}, []string{four, six}},
	} {
		found, err := choose(fixture(), c.patterns)
		if err != nil {
			t.Errorf("%q: %v", c.patterns, err)
		}
		var ids []string
		for _, p := range found {
			ids = append(ids, p.ID)
		}
		if !slices.Equal(ids, c.want) {
			t.Errorf("%q: %q, want %q", c.patterns, ids, c.want)
		}
	}
}

// A slip is answered with what was perhaps meant.
func TestUnknownProbe(t *testing.T) {
	for pattern, near := range map[string]string{
		"net.tcp.loopback":   "net.tcp.loopback.v4",
		"net.tcp.lopback.v6": "net.tcp.loopback.v6",
		"admin-surface":      "proxy.admin-surface",
		"net.udp.*":          "",
		"[":                  "",
		"":                   "",
		"something else":     "",
	} {
		_, err := choose(fixture(), []string{four(), pattern})
		if !errors.Is(err, ErrUnknownProbe) || !strings.Contains(err.Error(), near) {
			t.Errorf("%q: %v; want %q named", pattern, err, near)
		}
	}
	for _, p := range All() {
		if found, err := Lookup(p.ID); err != nil || found.What != p.What {
			t.Errorf("%q: %v, %v", p.ID, found, err)
		}
	}
}

func four() string { return "net.tcp.loopback.v4" }

func TestDistance(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"", "abc", 3}, {"abc", "", 3}, {"abc", "abc", 0}, {"kitten", "sitting", 3}, {"ab", "ba", 2}} {
		if got := distance(c.a, c.b); got != c.want {
			t.Errorf("%q to %q: %d, want %d", c.a, c.b, got, c.want)
		}
	}
}
