package rename

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"bottle.internal/internal/gate/proc"
)

// oldPath is put together here so that renaming the module leaves these tests meaning what they do.
const oldPath = "some" + ".internal"

func TestText(t *testing.T) {
	const to = "example.com/fork/v2"
	for _, c := range []struct{ in, want string }{
		{"module " + oldPath + "\n", "module " + to + "\n"},
		{`import "` + oldPath + `/smolvm"`, `import "` + to + `/smolvm"`},
		{`const module = "` + oldPath + `"`, `const module = "` + to + `"`},
		{"replace " + oldPath + " => ../..", "replace " + to + " => ../.."},
		{"Import " + oldPath + ".", "Import " + to + "."},
		{"Import " + oldPath + ". Then", "Import " + to + ". Then"},
		{"bundle." + oldPath + ":80", "bundle." + oldPath + ":80"},
		{"my-" + oldPath, "my-" + oldPath},
		{oldPath + ".example", oldPath + ".example"},
		{oldPath + "ize", oldPath + "ize"},
		{oldPath + " and " + oldPath, to + " and " + to},
		{"", ""},
	} {
		if have := Text(c.in, oldPath, to); have != c.want {
			t.Errorf("%q becomes %q, want %q", c.in, have, c.want)
		}
	}
}

// repository writes files below a fresh git repository.
func repository(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for name, text := range files {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	git(t, root, "init", "-q")
	return root
}

func git(t *testing.T, root string, args ...string) {
	t.Helper()
	if _, err := proc.Output(t.Context(), root, nil, "git", args...); err != nil {
		t.Fatal(err)
	}
}

func TestModule(t *testing.T) {
	root := repository(t, map[string]string{
		"go.mod":             "module " + oldPath + "\n\ngo 1.26\n",
		"cmd/x/main.go":      "package main\n\nimport _ \"" + oldPath + "/lib\"\n\nfunc main() {}\n",
		"lib/lib.go":         "package lib\n",
		"README.md":          "Import " + oldPath + ".\n",
		"lib/testdata/x.out": oldPath + "/lib: ok\n",
		"picture":            oldPath + "\x00",
		".gitignore":         "/bin/\n",
		"bin/tool.txt":       oldPath,
	})
	changed, err := Module(t.Context(), root, "example.com/fork")
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]string{"README.md", "cmd/x/main.go", "go.mod", "lib/testdata/x.out"}, changed); d != "" {
		t.Error(d)
	}
	if _, err := proc.Output(t.Context(), root, []string{"GOFLAGS=-buildvcs=false"}, "go", "build", "./..."); err != nil {
		t.Error(err)
	}
}

func TestModuleRefusesWhatIsNoPath(t *testing.T) {
	root := repository(t, map[string]string{"go.mod": "module " + oldPath + "\n"})
	for _, path := range []string{"", "not a path", "../up", "-x", "example.com/ü", oldPath} {
		if changed, err := Module(t.Context(), root, path); err == nil || len(changed) > 0 {
			t.Errorf("%q: changed %q, %v; want an error", path, changed, err)
		}
	}
}

// The whole tree, renamed in a copy, still builds, and nothing in it knows the old path any more.
func TestThisModule(t *testing.T) {
	if testing.Short() {
		t.Skip("builds everything once more")
	}
	here, err := proc.Output(t.Context(), "", nil, "go", "list", "-m", "-f", "{{.Dir}}")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(here, ".git")); err != nil {
		t.Skip("needs the git checkout: ", err)
	}
	build := func(root string) error {
		_, err := proc.Output(t.Context(), root, []string{"GOFLAGS=-mod=readonly -buildvcs=false", "GOWORK=off"}, "go", "build", "./...")
		return err
	}
	if err := build(here); err != nil {
		t.Skip("this module does not build under its own name: ", err)
	}
	old, err := modulePath(here)
	if err != nil {
		t.Fatal(err)
	}
	root := copyOf(t, here)
	if _, err := Module(t.Context(), root, "example.com/fork/bottle"); err != nil {
		t.Fatal(err)
	}
	if out, err := proc.Output(t.Context(), root, nil, "git", "grep", "--untracked", "-nE", `(^|[" ])`+strings.ReplaceAll(old, ".", `\.`)+`(/|"|$)`); out != "" {
		t.Errorf("the old path is left (%v):\n%s", err, out)
	}
	if err := build(root); err != nil {
		t.Error(err)
	}
}

func copyOf(t *testing.T, from string) string {
	t.Helper()
	names, err := files(context.WithoutCancel(t.Context()), from)
	if err != nil {
		t.Fatal(err)
	}
	tree := map[string]string{}
	for _, name := range names {
		if text, err := os.ReadFile(filepath.Join(from, name)); err == nil {
			tree[name] = string(text)
		}
	}
	return repository(t, tree)
}
