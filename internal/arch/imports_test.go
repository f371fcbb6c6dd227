package arch

import (
	"slices"
	"strings"
	"testing"
)

func TestImports(t *testing.T) {
	tree, err := load(t.Context(), ".")
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range rules {
		for _, v := range slices.Concat(tree.violations(r), tree.stale(r)) {
			t.Error(v)
		}
	}
}

// made is a tree of one package of the module that imports path, in the way given.
func made(who, path, how string) *tree {
	t := &tree{module: "m.example", std: map[string]bool{}, known: map[string]bool{}}
	for _, std := range []string{"testing", "fmt"} {
		t.std[std] = true
	}
	p := listed{ImportPath: t.example(who)}
	switch how {
	case "in a file":
		p.Imports = []string{"fmt", path}
	case "in a test":
		p.XTestImports = []string{"fmt", path}
	default:
		p.Deps = []string{"fmt", path}
	}
	t.own = []listed{p}
	return t
}

// Every ban of every rule, for every package it is about, is seen to bite.
func TestEveryRuleBites(t *testing.T) {
	for _, r := range rules {
		bans := r.ban
		if len(r.only) > 0 {
			bans = append(slices.Clone(bans), "foreign.example/lib")
		}
		for _, who := range r.who {
			for _, ban := range bans {
				for how, want := range map[string]bool{"in a file": true, "in a test": r.tests, "through another": !r.direct} {
					tree := made(who, (&tree{module: "m.example"}).example(ban), how)
					if have := len(tree.violations(r)) > 0; have != want {
						t.Errorf("%s imports %s %s: violation %t, want %t (%s)", who, ban, how, have, want, r.why)
					}
				}
			}
		}
		for _, but := range r.but {
			if v := made(but, (&tree{module: "m.example"}).example(r.ban[0]), "in a file").violations(r); len(v) > 0 {
				t.Errorf("%s is excepted, and yet: %q", but, v)
			}
		}
	}
}

func TestAnAllowedImportIsNone(t *testing.T) {
	if v := made("./smolvm", "m.example/smolvm/internal/wrapper", "in a file").violations(rules[0]); len(v) > 0 {
		t.Errorf("%q", v)
	}
}

func TestARuleAboutNothingIsStale(t *testing.T) {
	tree := made("./smolvm", "fmt", "in a file")
	tree.known["m.example/smolvm"] = true
	gone := rule{who: []string{"./smolvm"}, ban: []string{"./gone/...", "gone.example"}}
	if have := tree.stale(gone); len(have) != 2 {
		t.Errorf("%q, want both bans", have)
	}
}

// The real loader, on a module that breaks a rule in a file of one platform only and in a test.
func TestLoadSeesWhatFilesImport(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"go.mod":                "module m.example\n\ngo 1.26\n",
		"smolvm/a.go":           "package smolvm\n",
		"smolvm/b_darwin.go":    "package smolvm\n\nimport _ \"m.example/low\"\n",
		"low/low.go":            "package low\n\nimport _ \"testing\"\n",
		"cmd/x/main.go":         "package main\n\nfunc main() {}\n",
		"suites/suite.go":       "package suites\n",
		"suites/a/a.go":         "package a\n",
		"low/low_test.go":       "package low_test\n\nimport _ \"m.example/suites\"\n",
		"suites/a/a_x_test.go":  "package a_test\n\nimport _ \"m.example/suites\"\n",
		"smolvm/sim/testdata/x": "",
	} {
		write(t, dir, name, text)
	}
	tree, err := load(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, r := range rules {
		all = append(all, tree.violations(r)...)
	}
	text := strings.Join(all, "\n")
	for _, want := range []string{
		"m.example/smolvm imports m.example/low:", "m.example/smolvm imports testing:", "m.example/low imports m.example/suites:",
	} {
		if strings.Count(text, want) != 1 {
			t.Errorf("%q stands not once in\n%s", want, text)
		}
	}
	if len(all) != 3 {
		t.Errorf("%d violations, want 3:\n%s", len(all), text)
	}
}
