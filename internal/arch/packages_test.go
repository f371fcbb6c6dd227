package arch

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
)

// A listed is one package as "go list -json" tells it.
type listed struct {
	ImportPath string
	Dir        string
	Standard   bool
	Module     *struct{ Path string }
	Imports    []string
	Deps       []string // everything reached, in any number of steps
	TestImports,
	XTestImports []string
}

// A tree is a module's packages with everything they reach.
type tree struct {
	module string
	std    map[string]bool // import paths of the standard library
	known  map[string]bool // every import path there is
	own    []listed        // the module's own, once for each platform
}

// platforms are those the module has sources for; what a file of another platform imports counts too.
var platforms = []string{"GOOS=linux", "GOOS=darwin"}

// load lists the module that dir is in.
func load(ctx context.Context, dir string) (*tree, error) {
	module, err := goList(ctx, dir, "", "list", "-m")
	if err != nil {
		return nil, err
	}
	t := &tree{module: strings.TrimSpace(string(module)), std: map[string]bool{}, known: map[string]bool{}}
	for _, p := range platforms {
		out, err := goList(ctx, dir, p, "list", "-e", "-deps", "-json=ImportPath,Dir,Standard,Module,Imports,Deps,TestImports,XTestImports", t.module+"/...")
		if err != nil {
			return nil, err
		}
		if err := t.decode(out); err != nil {
			return nil, err
		}
	}
	return t, nil
}

func (t *tree) decode(out []byte) error {
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p listed
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("reading go list: %w", err)
		}
		t.add(p)
	}
}

func (t *tree) add(p listed) {
	t.known[p.ImportPath] = true
	if p.Standard {
		t.std[p.ImportPath] = true
	}
	if p.Module != nil && p.Module.Path == t.module {
		t.own = append(t.own, p)
		for _, path := range slices.Concat(p.TestImports, p.XTestImports) {
			t.known[path] = true
		}
	}
}

func goList(ctx context.Context, dir, platform string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off", platform)
	out, err := cmd.Output()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return nil, fmt.Errorf("go %s: %w: %s", strings.Join(args, " "), err, exit.Stderr)
	}
	return out, err
}

// matches reports whether an import path falls under a pattern: "std" is the standard library, "./x" a package of this module, any
// other an import path; "/..." at the end takes in what is below.
func (t *tree) matches(pattern, path string) bool {
	if pattern == "std" {
		return t.std[path]
	}
	if pattern == "." || strings.HasPrefix(pattern, "./") {
		pattern = t.module + pattern[1:]
	}
	if base, ok := strings.CutSuffix(pattern, "/..."); ok {
		return path == base || strings.HasPrefix(path, base+"/")
	}
	return path == pattern
}

func (t *tree) matchesAny(patterns []string, path string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool { return t.matches(p, path) })
}
