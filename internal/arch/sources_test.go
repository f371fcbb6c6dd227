package arch

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// A source is one parsed Go file.
type source struct {
	path string // relative to the root, with slashes
	fset *token.FileSet
	file *ast.File
}

func (s source) lines() int { return s.fset.File(s.file.FileStart).LineCount() }

func (s source) test() bool { return strings.HasSuffix(s.path, "_test.go") }

// sources parses every Go file below root but what no person wrote and what no build reads.
func sources(t *testing.T, root string) []source {
	t.Helper()
	var all []source
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if base := d.Name(); path != root && (strings.HasPrefix(base, ".") || base == "testdata") {
				return fs.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(path, ".go") {
			return nil
		}
		fset := token.NewFileSet()
		file, err := parser.ParseFile(fset, path, nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, path)
		if !ast.IsGenerated(file) {
			all = append(all, source{filepath.ToSlash(rel), fset, file})
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

const (
	fileLines = 300
	testLines = 500
	funcLines = 60
	mainLines = 25
)

// tooLong finds files and functions that hide a second noun.
func tooLong(s source) []string {
	limit := fileLines
	if s.test() {
		limit = testLines
	}
	if ok, _ := filepath.Match("cmd/*/main.go", s.path); ok {
		limit = mainLines
	}
	var found []string
	if n := s.lines(); n > limit {
		found = append(found, fmt.Sprintf("%s has %d lines, at most %d", s.path, n, limit))
	}
	for _, d := range s.file.Decls {
		if f, ok := d.(*ast.FuncDecl); ok {
			if n := s.span(f) + 1 - s.table(f); n > funcLines {
				found = append(found, fmt.Sprintf("%s: %s has %d lines, at most %d", s.path, f.Name.Name, n, funcLines))
			}
		}
	}
	return found
}

// span is how many lines n goes on for behind its first.
func (s source) span(n ast.Node) int {
	return s.fset.Position(n.End()).Line - s.fset.Position(n.Pos()).Line
}

// table is how many lines of a test are composite literals: the rows of a table are data and hide no second noun.
func (s source) table(f *ast.FuncDecl) int {
	if !s.test() {
		return 0
	}
	rows := 0
	ast.Inspect(f, func(n ast.Node) bool {
		literal, ok := n.(*ast.CompositeLit)
		if ok {
			rows += s.span(literal)
		}
		return !ok
	})
	return rows
}

// sleeps finds waits for time to pass in suites.
func sleeps(s source) []string {
	if !strings.HasPrefix(s.path, "suites/") {
		return nil
	}
	var found []string
	ast.Inspect(s.file, func(n ast.Node) bool {
		sel, ok := n.(*ast.SelectorExpr)
		if !ok || sel.Sel.Name != "Sleep" {
			return true
		}
		if x, ok := sel.X.(*ast.Ident); ok && x.Name == s.nameOf("time") {
			found = append(found, fmt.Sprintf("%s sleeps: wait with Eventually or for a readiness", s.fset.Position(sel.Pos())))
		}
		return true
	})
	return found
}

// nameOf is what the file calls an import, "" if it has none of it.
func (s source) nameOf(path string) string {
	for _, i := range s.file.Imports {
		switch {
		case strings.Trim(i.Path.Value, `"`) != path:
		case i.Name != nil:
			return i.Name.Name
		default:
			return path
		}
	}
	return ""
}

// vague are names that say nothing about what is inside.
var vague = []string{"util", "utils", "common", "helpers", "types", "misc", "testutil", "testutils"}

func vaguelyNamed(s source) []string {
	name := strings.TrimSuffix(strings.TrimSuffix(filepath.Base(s.path), ".go"), "_test")
	for _, n := range []string{name, filepath.Base(filepath.Dir(s.path)), s.file.Name.Name} {
		if slices.Contains(vague, n) {
			return []string{fmt.Sprintf("%s: %q does not say what is inside", s.path, n)}
		}
	}
	return nil
}

// magefile keeps the magefile light: mage rebuilds it on its own changes only, and the first target pays for its imports.
func magefile(s source) []string {
	if s.path != "magefile.go" {
		return nil
	}
	var found []string
	for _, i := range s.file.Imports {
		path := strings.Trim(i.Path.Value, `"`)
		first, _, _ := strings.Cut(path, "/")
		if strings.Contains(first, ".") && path != "github.com/magefile/mage/mg" && path != "github.com/magefile/mage/sh" {
			found = append(found, "magefile.go imports "+path+": the work belongs into internal/gate")
		}
	}
	return found
}

var sourceChecks = []func(source) []string{tooLong, sleeps, vaguelyNamed, magefile}

func TestSources(t *testing.T) {
	all := sources(t, root(t))
	if len(all) < 10 {
		t.Fatalf("%d sources found: this test looks in the wrong place", len(all))
	}
	for _, s := range all {
		for _, check := range sourceChecks {
			for _, found := range check(s) {
				t.Error(found)
			}
		}
	}
}

func TestEverySourceCheckBites(t *testing.T) {
	long := strings.Repeat("\n", 61)
	for _, c := range []struct {
		path, text string
		want       string
	}{
		{"smolvm/a.go", "package smolvm\n" + strings.Repeat("\n", 300), "smolvm/a.go has 301 lines, at most 300"},
		{"smolvm/a_test.go", "package smolvm\n" + strings.Repeat("\n", 400), ""},
		{"smolvm/a_test.go", "package smolvm\n" + strings.Repeat("\n", 500), "smolvm/a_test.go has 501 lines, at most 500"},
		{"cmd/x/main.go", "package main\n" + strings.Repeat("\n", 25), "cmd/x/main.go has 26 lines, at most 25"},
		{"cmd/x/run.go", "package main\n" + strings.Repeat("\n", 25), ""},
		{"smolvm/a.go", "package smolvm\nfunc (c *C) Long() {" + long + "}\n", "smolvm/a.go: Long has 62 lines, at most 60"},
		{"smolvm/a_test.go", "package smolvm\nfunc TestLong() {" + long + "}\n", "smolvm/a_test.go: TestLong has 62 lines, at most 60"},
		{"smolvm/a_test.go", "package smolvm\nfunc TestTable() {\n_ = []int{" + long + "}\n}\n", ""},
		{"smolvm/a.go", "package smolvm\nfunc Table() {\n_ = []int{" + long + "}\n}\n", "smolvm/a.go: Table has 64 lines, at most 60"},
		{"suites/a/a.go", "package a\nimport \"time\"\nfunc f() { time.Sleep(1) }\n", "a.go:3:12 sleeps: wait with Eventually or for a readiness"},
		{"suites/a/a_test.go", "package a\nimport clock \"time\"\nvar f = clock.Sleep\n", "a_test.go:3:9 sleeps: wait with Eventually or for a readiness"},
		{"smolvm/a.go", "package smolvm\nimport \"time\"\nfunc f() { time.Sleep(1) }\n", ""},
		{"smolvm/util.go", "package smolvm\n", `smolvm/util.go: "util" does not say what is inside`},
		{"smolvm/helpers/a.go", "package x\n", `smolvm/helpers/a.go: "helpers" does not say what is inside`},
		{"magefile.go", "package main\nimport \"github.com/spf13/cobra\"\n", "magefile.go imports github.com/spf13/cobra: the work belongs into internal/gate"},
		{"magefile.go", "package main\nimport (\n\"os\"\n\"github.com/magefile/mage/sh\"\n)\n", ""},
		{"smolvm/gen.go", "// Code generated by x. DO NOT EDIT.\npackage smolvm\n" + strings.Repeat("\n", 300), ""},
	} {
		dir := t.TempDir()
		write(t, dir, c.path, c.text)
		var found []string
		for _, s := range sources(t, dir) {
			for _, check := range sourceChecks {
				found = append(found, check(s)...)
			}
		}
		if have := strings.Join(found, "\n"); (have == "") != (c.want == "") || !strings.HasSuffix(have, c.want) {
			t.Errorf("%s: %q, want %q", c.path, have, c.want)
		}
	}
}

// topLevel is what may stand in the module's root.
var topLevel = []string{
	".ci", ".gitea", ".gitignore", ".golangci.yml", "CONTRIBUTING.md", "LICENSE", "README.md", "bottletest", "bundle", "cmd", "docs",
	"go.mod", "go.sum", "internal", "magefile.go", "probes", "smolvm", "suites",
}

func TestTopLevel(t *testing.T) {
	have := topLevelOf(t, root(t))
	for _, name := range have {
		if !slices.Contains(topLevel, name) {
			t.Errorf("%s stands at the top level, where only these may: %s", name, strings.Join(topLevel, " "))
		}
	}
	for _, name := range topLevel {
		if !slices.Contains(have, name) {
			t.Errorf("%s is allowed at the top level and not there", name)
		}
	}
}

// topLevelOf asks git, which knows what is ignored.
func topLevelOf(t *testing.T, root string) []string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "git", "ls-files", "--cached", "--others", "--exclude-standard")
	cmd.Dir = root
	out, err := cmd.Output()
	if err != nil {
		t.Skip("needs git and a checkout: ", err)
	}
	var names []string
	for line := range strings.Lines(string(out)) {
		name, _, _ := strings.Cut(strings.TrimSpace(line), "/")
		if _, err := os.Lstat(filepath.Join(root, name)); !errors.Is(err, fs.ErrNotExist) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

func TestTopLevelSeesANewName(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "docs/x.md", "x")
	write(t, dir, "bin/gate", "x")
	write(t, dir, ".gitignore", "/bin/\n")
	cmd := exec.CommandContext(t.Context(), "git", "init", "-q", dir)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Skipf("needs git: %v: %s", err, out)
	}
	if have := topLevelOf(t, dir); !slices.Equal(have, []string{".gitignore", "docs"}) {
		t.Errorf("%q, want .gitignore and docs", have)
	}
}

// root is the module's directory: this package's is two below it.
func root(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "go.mod")); err != nil {
		t.Fatal(err)
	}
	return dir
}

func write(t *testing.T, dir, name, text string) {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
