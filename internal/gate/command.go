package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"bottle.internal/internal/gate/host"
	"bottle.internal/internal/gate/proc"
	"bottle.internal/internal/gate/rename"
	"bottle.internal/internal/gate/stage"
)

// A gate is one invocation.
type gate struct {
	root      string // the module's directory
	module    string // its path
	engine    host.Engine
	race      []string // the build flag, where a C compiler makes it possible
	artifacts string   // absolute
	out       io.Writer
}

// Exit codes of a gate.
const (
	exitFailed = 1
	exitUsage  = 2
)

const usage = "usage: gate test|unit|integration [SUITE]|conformance|teeth|lint|vet|tidy|consumer|bench|gallery|release|record|sweep|rename PATH"

// run is the command: args without the program's name, the exit code as the result.
func run(ctx context.Context, args []string, out, errOut io.Writer) int {
	if len(args) == 0 {
		_, _ = fmt.Fprintln(errOut, usage)
		return exitUsage
	}
	g, err := newGate(ctx, out)
	if err != nil {
		_, _ = fmt.Fprintln(errOut, "gate:", err)
		return exitFailed
	}
	word, rest := args[0], args[1:]
	switch {
	case word == "rename" && len(rest) == 1:
		err = g.rename(ctx, rest[0])
	case word == "bench" && len(rest) == 0:
		err = g.bench(ctx)
	case word == "gallery" && len(rest) == 0:
		err = g.goDo(ctx, g.out, nil, "run", "./internal/gallery")
	case word == "release" && len(rest) == 0:
		err = g.goDo(ctx, g.out, nil, "run", "./internal/release")
	case word == "record" && len(rest) == 0:
		err = g.record(ctx)
	case word == "sweep" && len(rest) == 0:
		err = g.goDo(ctx, g.out, g.engine.Env(), "run", "./cmd/bottle-probe", "sweep")
	default:
		stages, ok := g.stages(ctx, word, rest)
		if !ok {
			_, _ = fmt.Fprintln(errOut, usage)
			return exitUsage
		}
		return g.do(ctx, stages)
	}
	if err != nil {
		_, _ = fmt.Fprintln(errOut, "gate:", err)
		return exitFailed
	}
	return 0
}

func newGate(ctx context.Context, out io.Writer) (*gate, error) {
	where, err := proc.Output(ctx, "", nil, "go", "list", "-m", "-f", "{{.Path}}\n{{.Dir}}")
	if err != nil {
		return nil, err
	}
	module, root, _ := strings.Cut(where, "\n")
	artifacts := os.Getenv("BOTTLE_ARTIFACTS")
	if artifacts == "" {
		artifacts = filepath.Join(root, "artifacts")
	}
	if artifacts, err = filepath.Abs(artifacts); err != nil {
		return nil, err
	}
	race, err := raceFlag(ctx)
	return &gate{root, module, host.Detect(), race, artifacts, out}, err
}

// stages are those of a word, in order. A stage that launches bottles needs the banner.
func (g *gate) stages(ctx context.Context, word string, rest []string) ([]stage.Stage, bool) {
	if word == "integration" && len(rest) <= 1 {
		return []stage.Stage{g.integration(strings.Join(rest, ""))}, true
	}
	if len(rest) > 0 {
		return nil, false
	}
	all := []stage.Stage{
		stage.Check("lint", g.lint), stage.Check("vet", g.vet), stage.Check("tidy", g.tidy),
		g.unit(), g.integration(""), g.conformance(), g.teeth(), g.consumer(),
	}
	if word == "test" {
		return append(all, g.leftovers(ctx)), true
	}
	i := slices.IndexFunc(all, func(s stage.Stage) bool { return s.Name == word })
	if i < 0 {
		return nil, false
	}
	return all[i : i+1], true
}

func (g *gate) do(ctx context.Context, stages []stage.Stage) int {
	r := stage.Run{Out: g.out}
	if slices.ContainsFunc(stages, func(s stage.Stage) bool { return s.Tests }) {
		r.Banner = g.engine.Banner()
		if len(g.race) == 0 {
			_, _ = fmt.Fprintln(g.out, "WITHOUT -race: it needs cgo and a C compiler, and there is none")
		}
	}
	return r.Do(ctx, stages...)
}

// bench prints what a bottle costs on this host.
func (g *gate) bench(ctx context.Context) error {
	if b := g.engine.Banner(); b != "" {
		_, _ = fmt.Fprintln(g.out, b)
		defer func() { _, _ = fmt.Fprintln(g.out, b) }()
	}
	return g.goDo(ctx, g.out, g.engine.Env(), "run", "./internal/bench")
}

// record writes down what this host's engines say when the client's contract is run against them.
func (g *gate) record(ctx context.Context) error {
	return g.goDo(ctx, g.out, nil, "test", "-count=1", "-run=^TestContractEngine$", "./smolvm", "-record")
}

func (g *gate) rename(ctx context.Context, path string) error {
	changed, err := rename.Module(ctx, g.root, path)
	for _, name := range changed {
		_, _ = fmt.Fprintln(g.out, "changed", name)
	}
	if err != nil {
		return err
	}
	_, _ = fmt.Fprintf(g.out, "%d files now say %s; go build ./... says whether all is well\n", len(changed), path)
	if err := proc.Run(ctx, g.out, g.root, nil, "go", "build", "-buildvcs=false", "./..."); err != nil {
		return errors.Join(errors.New("the renamed module does not build"), err)
	}
	return nil
}
