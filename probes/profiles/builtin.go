package profiles

import (
	"embed"
	"errors"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
)

// The names of the profiles that are no generation's.
const (
	Strict   = "strict"   // the default: L3 of critical, L2 of high, L1 of the rest, no waivers
	Standard = "standard" // L1 of everything, which is the judge's own, no waivers
)

// ErrUnknown says that there is no builtin profile of a name.
var ErrUnknown = errors.New("profiles: no such profile")

//go:embed builtin/*.yaml
var files embed.FS

// Names are the names of the builtin profiles, sorted.
func Names() []string {
	entries, err := files.ReadDir("builtin")
	if err != nil {
		panic(err) // it is compiled in
	}
	var names []string
	for _, e := range entries {
		names = append(names, strings.TrimSuffix(e.Name(), path.Ext(e.Name())))
	}
	slices.Sort(names)
	return names
}

// Builtin is the profile of that name, Strict for "". The error, ErrUnknown, says which there are.
func Builtin(name string) (Profile, error) {
	if name == "" {
		name = Strict
	}
	if !slices.Contains(Names(), name) {
		return Profile{}, fmt.Errorf("%w: %q; there are %q", ErrUnknown, name, Names())
	}
	file := "builtin/" + name + ".yaml"
	b, err := files.ReadFile(file)
	if err != nil {
		return Profile{}, fmt.Errorf("profiles: %w", err)
	}
	return parse(file, b)
}

// For is the profile of the generation that a release of smolvm belongs to, the release as smolvm and reports write it: "1.9.3",
// "smolvm 1.9.3", "0.8.0 (simulated)". A release whose source nobody has read, newer ones above all, gets Strict: what it lets
// through is not known and so not waived. So does what is no release.
func For(engineVersion string) Profile {
	r, err := parseRelease(engineVersion)
	for _, name := range Names() {
		p := must(name)
		if err == nil && p.Since != "" && p.about(r) {
			return p
		}
	}
	return must(Strict)
}

// must is a profile that is compiled in and tested to be one.
func must(name string) Profile {
	p, err := Builtin(name)
	if err != nil {
		panic(err)
	}
	return p
}

// about reports whether r lies between Since and Through.
func (p Profile) about(r release) bool {
	since, err := parseRelease(p.Since)
	through, err2 := parseRelease(p.Through)
	return err == nil && err2 == nil && slices.Compare(since[:], r[:]) <= 0 && slices.Compare(r[:], through[:]) <= 0
}

// A release is a version number, major first.
type release [3]int

// parseRelease takes a number of three parts, "smolvm" or "v" before it, and a remark in brackets after it.
func parseRelease(s string) (release, error) {
	number, _, _ := strings.Cut(s, " (")
	number = strings.TrimPrefix(strings.TrimPrefix(number, "smolvm "), "v")
	parts := strings.Split(number, ".")
	var r release
	if len(parts) != len(r) {
		return r, fmt.Errorf("%q is no release such as 1.9.3", s)
	}
	for i, p := range parts {
		n, err := strconv.ParseUint(p, 10, 31)
		if err != nil {
			return release{}, fmt.Errorf("%q is no release such as 1.9.3", s)
		}
		r[i] = int(n)
	}
	return r, nil
}
