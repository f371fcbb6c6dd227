package smolvm

import (
	"testing"
)

func TestParseVersion(t *testing.T) {
	for text, want := range map[string]Version{
		"smolvm 0.8.0\n":             {Minor: 8},
		"smolvm 1.9.3":               {Major: 1, Minor: 9, Patch: 3},
		"smolvm 0.8.0 (simulated)\n": {Minor: 8, Simulated: true},
		"0.8.0 (simulated)":          {Minor: 8, Simulated: true},
		"1.16.0":                     {Major: 1, Minor: 16},
		"smolvm 2.0.0-rc.1+g1a2b":    {Major: 2},
	} {
		got, err := ParseVersion(text)
		if err != nil || got != want {
			t.Errorf("ParseVersion(%q) = %v, %v, want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "smolvm", "smolvm 1.2", "smolvm v1.2.3", "runc 1.2.3", "smolvm 1.2.3.4", "smolvm 1.2.3 4", "smolvm 9999999.0.0",
		"smolvm -1.0.0", "smolvm 0.8.0 (Simulated)", "smolvm 0.8.0\nsmolvm 0.8.1"} {
		_, err := ParseVersion(text)
		wantIs(t, err, ErrInvalid)
	}
}

func FuzzParseVersion(f *testing.F) {
	for _, s := range []string{"smolvm 0.8.0\n", "1.9.3 (simulated)", "smolvm 1.0.0-rc.1", "x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		v, err := ParseVersion(s)
		if err != nil {
			return
		}
		if again, err := ParseVersion(v.String()); err != nil || again != v {
			t.Errorf("%q is %v, and that is %v, %v", s, v, again, err)
		}
	})
}

func TestAtLeast(t *testing.T) {
	v := release(1, 2, 5)
	for _, old := range []Version{{}, release(0, 9, 9), release(1, 1, 9), release(1, 2, 4), release(1, 2, 5)} {
		if !v.AtLeast(old.Major, old.Minor, old.Patch) {
			t.Errorf("%s is not at least %s", v, old)
		}
	}
	for _, newer := range []Version{release(1, 2, 6), release(1, 3, 0), release(2, 0, 0)} {
		if v.AtLeast(newer.Major, newer.Minor, newer.Patch) {
			t.Errorf("%s is at least %s", v, newer)
		}
	}
}

func TestPolicyBackend(t *testing.T) {
	for v, want := range map[Version]Backend{release(0, 8, 0): TSI, release(1, 1, 2): TSI, release(1, 1, 3): VirtioNet, release(7, 0, 0): VirtioNet} {
		if got := v.PolicyBackend(); got != want {
			t.Errorf("%s: %s, want %s", v, got, want)
		}
	}
}

// Every row has a source, a release it begins with, and an end after it.
func TestFeatures(t *testing.T) {
	newest, oldest := release(99, 0, 0), release(0, 7, 9)
	for f, s := range features {
		if s.source == "" || s.since == (Version{}) {
			t.Errorf("feature %d has no source or no release", f)
			continue
		}
		if !s.since.has(feature(f)) || oldest.has(feature(f)) {
			t.Errorf("feature %d: %s must have it, %s must not", f, s.since, oldest)
		}
		if ends := s.before != (Version{}); newest.has(feature(f)) == ends || s.before.has(feature(f)) {
			t.Errorf("feature %d has no good end: %s to %s", f, s.since, s.before)
		}
	}
}
