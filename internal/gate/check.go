package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"runtime"
	"strings"

	"bottle.internal/internal/gate/proc"
)

// tools is the go.mod of the linters, which are no dependency of the kit.
const tools = "-modfile=internal/tools/go.mod"

// lint runs golangci-lint over the code and actionlint over the workflows.
func (g *gate) lint(ctx context.Context, w io.Writer) error {
	workflows, err := filepath.Glob(filepath.Join(g.root, ".gitea", "workflows", "*.yml"))
	if err != nil {
		return err
	}
	return errors.Join(
		g.goDo(ctx, w, nil, "tool", tools, "golangci-lint", "run", "--allow-parallel-runners", "./..."),
		g.goDo(ctx, w, nil, append([]string{"tool", tools, "actionlint", "-config-file", ".gitea/actionlint.yaml"}, workflows...)...),
	)
}

// platforms are where the kit's own side runs; one of them is usually this one.
var platforms = [][2]string{{"linux", "amd64"}, {"darwin", "arm64"}}

// vet vets this platform, builds and vets the others, and builds what runs in the guests and containers of a Mac.
func (g *gate) vet(ctx context.Context, w io.Writer) error {
	errs := []error{g.goDo(ctx, w, nil, "vet", "./..."), g.goDo(ctx, w, nil, "vet", "-tags=mage", ".")}
	for _, p := range platforms {
		if p[0] == runtime.GOOS && p[1] == runtime.GOARCH {
			continue
		}
		_, _ = fmt.Fprintf(w, "for %s/%s\n", p[0], p[1])
		env := []string{"GOOS=" + p[0], "GOARCH=" + p[1], "CGO_ENABLED=0"}
		errs = append(errs, g.goDo(ctx, w, env, "build", "-buildvcs=false", "./..."), g.goDo(ctx, w, env, "vet", "./..."))
	}
	guest := []string{"GOOS=linux", "GOARCH=arm64", "CGO_ENABLED=0"}
	errs = append(errs, g.goDo(ctx, w, guest, "build", "-buildvcs=false", "-o", "/dev/null", "./cmd/bottle-agent"),
		g.goDo(ctx, w, guest, "build", "-buildvcs=false", "-o", "/dev/null", "./cmd/bottle-bundle"))
	return errors.Join(errs...)
}

// tidy checks that go.mod and go.sum are what "go mod tidy" would write, and writes nothing.
func (g *gate) tidy(ctx context.Context, w io.Writer) error {
	return errors.Join(
		g.goDo(ctx, w, nil, "mod", "tidy", "-diff"),
		g.goDo(ctx, w, nil, "-C", "internal/tools", "mod", "tidy", "-diff"),
	)
}

// goDo runs the go command in the module's directory.
func (g *gate) goDo(ctx context.Context, w io.Writer, env []string, args ...string) error {
	return proc.Run(ctx, w, g.root, env, "go", args...)
}

// raceFlag is -race where the race detector can be built in: it needs cgo, and cgo a C compiler.
func raceFlag(ctx context.Context) ([]string, error) {
	out, err := proc.Output(ctx, "", nil, "go", "env", "CGO_ENABLED", "CC")
	if err != nil {
		return nil, err
	}
	enabled, cc, _ := strings.Cut(out, "\n")
	if enabled != "1" || !found(cc) {
		return nil, nil
	}
	return []string{"-race"}, nil
}
