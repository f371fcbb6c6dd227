package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"bottle.internal/internal/gate/host"
	"bottle.internal/internal/gate/leftover"
	"bottle.internal/internal/gate/proc"
	"bottle.internal/internal/gate/stage"
	"bottle.internal/internal/gate/suite"
	"bottle.internal/internal/gate/tally"
)

const (
	unitLimit     = 10 * time.Minute
	consumerLimit = 5 * time.Minute
	settleLimit   = 15 * time.Second
)

// unit runs every package's tests but the suites.
func (g *gate) unit() stage.Stage {
	return stage.Stage{Name: "unit", Tests: true, Run: func(ctx context.Context, w io.Writer) (tally.Tally, error) {
		packages, err := g.unitPackages(ctx)
		if err != nil {
			return tally.Tally{}, err
		}
		args := append([]string{"-timeout=" + unitLimit.String()}, append(g.race, packages...)...)
		return goTest(ctx, w, g.root, append(g.engine.Env(), g.evidence("unit")), args...)
	}}
}

// evidence is the setting that says where a stage's failed bottles leave theirs.
func (g *gate) evidence(stage string) string {
	return "BOTTLE_ARTIFACTS=" + filepath.Join(g.artifacts, stage)
}

func (g *gate) unitPackages(ctx context.Context) ([]string, error) {
	suites, err := suite.List(ctx, g.root)
	if err != nil {
		return nil, err
	}
	isSuite := map[string]bool{}
	for _, s := range suites {
		isSuite[s.ImportPath] = true
	}
	out, err := proc.Output(ctx, g.root, nil, "go", "list", "./...")
	if err != nil {
		return nil, err
	}
	var packages []string
	for _, p := range strings.Fields(out) {
		if !isSuite[p] {
			packages = append(packages, p)
		}
	}
	return packages, nil
}

// goTest runs "go test -json" with args and counts what it did.
func goTest(ctx context.Context, w io.Writer, dir string, env []string, args ...string) (tally.Tally, error) {
	cmd := proc.Command(ctx, env, "go", append([]string{"test", "-json", "-count=1"}, args...)...)
	cmd.Dir, cmd.Stderr = dir, w
	events, err := cmd.StdoutPipe()
	if err != nil {
		return tally.Tally{}, err
	}
	if err := cmd.Start(); err != nil {
		return tally.Tally{}, err
	}
	t, readErr := tally.GoTest(events, w)
	return t, errors.Join(readErr, proc.Named(cmd, cmd.Wait()))
}

// integration runs the suite of that name, or all of them.
func (g *gate) integration(name string) stage.Stage {
	return stage.Stage{Name: "integration", Tests: true, Run: func(ctx context.Context, w io.Writer) (tally.Tally, error) {
		results, err := g.suites(ctx, w, name)
		suite.Table(w, results)
		return sum(results), err
	}}
}

// conformance asks the whole catalogue of a bottle and its twin.
func (g *gate) conformance() stage.Stage {
	s := g.integration(suite.Conformance)
	s.Name = suite.Conformance
	return s
}

// teeth runs the suites' claims against bottles broken on purpose.
func (g *gate) teeth() stage.Stage {
	return stage.Stage{Name: "teeth", Tests: true, Run: func(ctx context.Context, w io.Writer) (tally.Tally, error) {
		results, err := g.suites(ctx, w, suite.Teeth)
		if matrix, matrixErr := g.killMatrix(ctx, w); matrixErr != nil || len(matrix) > 0 {
			results, err = append(results, matrix...), errors.Join(err, matrixErr)
		}
		suite.Table(w, results)
		suite.BrokenTable(w, results)
		return sum(results), err
	}}
}

// killMatrix runs the whole catalogue against every bottle that is broken on purpose: one run, whatever the variants.
func (g *gate) killMatrix(ctx context.Context, w io.Writer) ([]suite.Result, error) {
	if !g.engine.Simulated {
		_, _ = fmt.Fprintln(w, "no kill matrix: most of its bottles are broken by the simulator, and the engine is not")
		return nil, nil
	}
	return g.suites(ctx, w, suite.KillMatrix)
}

func (g *gate) suites(ctx context.Context, w io.Writer, name string) ([]suite.Result, error) {
	all, err := suite.List(ctx, g.root)
	if err != nil {
		return nil, err
	}
	some, err := suite.Select(all, name)
	if err != nil {
		return nil, err
	}
	variants, err := g.variants(ctx)
	if err != nil {
		return nil, err
	}
	if name == suite.KillMatrix {
		variants = []host.Variant{{}}
	}
	if name == suite.Teeth || name == suite.Conformance {
		variants = host.Outermost(variants)
	}
	r := suite.Runner{Root: g.root, Artifacts: g.artifacts, Bin: filepath.Join(g.root, "bin", "suites"), Engine: g.engine, Variants: variants, Flags: g.race, Out: w}
	return r.Run(ctx, some)
}

// variants are the kinds of bottle that can be launched here and were not ruled out.
func (g *gate) variants(ctx context.Context) ([]host.Variant, error) {
	containers, err := g.containers(ctx)
	if err != nil {
		return nil, err
	}
	all := g.engine.Variants(containers)
	if len(all) == 0 {
		return nil, fmt.Errorf("no bottle is left to launch: asked for %s, and a container engine answers: %t", g.engine.Only, containers)
	}
	return all, nil
}

// containers asks the kit itself, which knows where to look, whether a container engine answers.
func (g *gate) containers(ctx context.Context) (bool, error) {
	// Its exit code says whether a bottle can be launched, which is another question.
	args := append(append([]string{"run"}, g.race...), "./cmd/bottle-probe", "doctor", "-o", "json") // with -race, as the suites: built once
	out, runErr := proc.Output(ctx, g.root, g.engine.Env(), "go", args...)
	var lines []struct {
		Subject string
		OK      bool
	}
	if err := json.Unmarshal([]byte(out), &lines); err != nil {
		return false, errors.Join(fmt.Errorf("asking bottle-probe doctor for a container engine: %w", err), runErr)
	}
	for _, l := range lines {
		if l.Subject == "container engine" {
			return l.OK, nil
		}
	}
	return false, errors.New("bottle-probe doctor says nothing of a container engine")
}

func sum(results []suite.Result) tally.Tally {
	var t tally.Tally
	for _, r := range results {
		t.Add(r.Tally)
	}
	return t
}

// consumer tests the kit from another module, which finds it through a replace line as a fork's users do. It runs on a copy, so
// that the go.sum it needs is this module's own and nothing in the tree changes.
func (g *gate) consumer() stage.Stage {
	return stage.Stage{Name: "consumer", Tests: true, Run: func(ctx context.Context, w io.Writer) (tally.Tally, error) {
		dir, err := os.MkdirTemp("", "bottle-consumer-")
		if err != nil {
			return tally.Tally{}, err
		}
		defer func() { _ = os.RemoveAll(dir) }()
		if err := os.CopyFS(dir, os.DirFS(filepath.Join(g.root, "internal", "consumer"))); err != nil {
			return tally.Tally{}, err
		}
		sums, err := os.ReadFile(filepath.Join(g.root, "go.sum"))
		if err != nil {
			return tally.Tally{}, err
		}
		if err := os.WriteFile(filepath.Join(dir, "go.sum"), sums, 0o600); err != nil {
			return tally.Tally{}, err
		}
		env := append(g.engine.Env(), g.evidence("consumer"), "BOTTLE_REQUIRE=1", "GOFLAGS=", "GOWORK=off")
		if err := proc.Run(ctx, w, dir, env, "go", "mod", "edit", "-replace="+g.module+"="+g.root); err != nil {
			return tally.Tally{}, err
		}
		return goTest(ctx, w, dir, env, "-mod=mod", "-timeout="+consumerLimit.String(), "./...")
	}}
}

// leftovers compares the machine with what it was when this function was called.
func (g *gate) leftovers(ctx context.Context) stage.Stage {
	before, err := leftover.Take(ctx)
	return stage.Check("leftovers", func(ctx context.Context, w io.Writer) error {
		if err != nil {
			return err
		}
		ours, others, err := leftover.Settle(ctx, before, settleLimit)
		if err != nil {
			return err
		}
		for _, o := range others {
			_, _ = fmt.Fprintf(w, "came up meanwhile, not the kit's by its name or labels: %s\n", o)
		}
		if len(ours) > 0 {
			return fmt.Errorf("left behind:\n%s", strings.Join(ours, "\n"))
		}
		return nil
	})
}

// found reports whether the first word of a command line is a program.
func found(line string) bool {
	words := strings.Fields(line)
	if len(words) == 0 {
		return false
	}
	_, err := exec.LookPath(words[0])
	return err == nil
}
