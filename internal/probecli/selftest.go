package probecli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"bottle.internal/internal/gobuild"
	"bottle.internal/internal/killing"
	"bottle.internal/probes/mutants"
)

func newSelftest(s *settings) *cobra.Command {
	var only []string
	var limit time.Duration
	cmd := &cobra.Command{
		Use:   "selftest",
		Short: "Ask this kit of bottles broken on purpose: is each told apart?",
		Long: "selftest launches bottles on the simulator, sound ones and ones that are broken in one way each, probes them all and prints which probe\n" +
			"told which apart: the kill matrix. Every mutant that is not told apart is a way in which a bottle can be broken with every line green.\n" +
			"A run of all is put on record: from then on control C5 of this kit's reports goes by it. It needs a plain Linux with a container engine,\n" +
			"the go command and a checkout of the kit's sources, which a release does not carry. It exits 1 if a mutant survives.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			list, err := mutantsNamed(only)
			if err != nil {
				return usage(err)
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), limit)
			defer cancel()
			return s.selftest(ctx, list, len(only) == 0)
		},
	}
	cmd.Flags().StringSliceVar(&only, "only", nil, "names of mutants, or patterns of names")
	cmd.Flags().DurationVar(&limit, "timeout", 15*time.Minute, "end the whole run after this long")
	return cmd
}

// mutantsNamed are those that any of patterns names, all if there is none. A pattern that names none is an error.
func mutantsNamed(patterns []string) ([]mutants.Mutant, error) {
	if len(patterns) == 0 {
		return mutants.All(), nil
	}
	var list []mutants.Mutant
	for _, p := range patterns {
		named := false
		for _, m := range mutants.All() {
			ok, err := path.Match(p, m.Name)
			if err != nil {
				return nil, fmt.Errorf("--only %q: %w", p, err)
			}
			named = named || ok
			if ok && !slices.ContainsFunc(list, func(l mutants.Mutant) bool { return l.Name == m.Name }) {
				list = append(list, m)
			}
		}
		if !named {
			return nil, fmt.Errorf("--only %q: no mutant is called so", p)
		}
	}
	return list, nil
}

func (s *settings) selftest(ctx context.Context, list []mutants.Mutant, whole bool) (err error) {
	if _, err := gobuild.ModuleDir(ctx); err != nil {
		return fmt.Errorf("some bottles are broken in their sources: %w", err)
	}
	dir, err := os.MkdirTemp("", "bottle-selftest-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	home, err := killing.OpenHome(ctx, func(name, value string) { _ = os.Setenv(name, value) })
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, home.Close()) }()
	logf := func(string, ...any) {}
	if s.verbose {
		logf = s.logf
	}
	s.progress("%d mutants, on the simulator: a few minutes", len(list))
	matrix, _, err := killing.Run(ctx, dir, logf, list)
	if err != nil {
		return err
	}
	if matrix.Kit, err = gobuild.Kit(ctx); err != nil {
		return err
	}
	if s.json() {
		err = matrix.WriteJSON(s.stdout)
	} else {
		_, err = fmt.Fprintln(s.stdout, matrix)
	}
	if err != nil {
		return err
	}
	return s.outcome(matrix, whole)
}

// outcome puts a whole matrix on record, and says what is wrong with it.
func (s *settings) outcome(m mutants.Matrix, whole bool) error {
	code := ExitClean
	var errs []error
	for _, line := range m.Survivors() {
		errs = append(errs, errors.New(line))
		code = ExitInconclusive
	}
	if slices.ContainsFunc(m.Rows, func(r mutants.Row) bool { return len(r.Missed()) > 0 }) {
		code = ExitLeak
	}
	if !whole {
		return exitFor(code, errs)
	}
	for _, line := range m.Toothless(mutants.Exceptions) {
		errs = append(errs, errors.New(line))
		code = ExitLeak
	}
	dir, err := gobuild.KillsDir()
	if err == nil {
		err = m.Record().Write(dir)
	}
	if err != nil {
		return err
	}
	return exitFor(code, errs)
}

// exitFor is the error of a command that ends with code for the reasons given.
func exitFor(code int, reasons []error) error {
	if code == ExitClean {
		return nil
	}
	return &exitError{code, errors.Join(reasons...)}
}
