// Package probecli is the command bottle-probe: its flags, its output and its exit codes. What it asks and how that is judged
// is in packages bottletest and probes.
package probecli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/spf13/cobra"

	"bottle.internal/bottletest"
)

// Exit codes of bottle-probe.
const (
	ExitClean        = 0 // everything asked is contained
	ExitLeak         = 1 // a leak, or an allowed path that does not work
	ExitUsage        = 2 // the command line or a setting is wrong
	ExitInconclusive = 3 // the question could not be answered
	ExitHarness      = 4 // the harness itself failed
)

// Run runs bottle-probe with args, without the program's name, and returns its exit code. It ends early, with everything torn
// down, when ctx is cancelled.
func Run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	s := &settings{stdout: stdout, stderr: stderr}
	root := newRoot(s)
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return ExitClean
	}
	if !s.begun {
		err = usage(err) // cobra's own: a flag that is missing, flags that do not go together
	}
	var exit *exitError
	if errors.As(err, &exit) && exit.err == nil {
		return exit.code // the report has said it
	}
	if ctx.Err() != nil {
		err = fmt.Errorf("interrupted: %w", err)
	}
	fmt.Fprintf(stderr, "bottle-probe: %v\n", err)
	return code(err)
}

// An exitError carries an exit code; a nil err means that nothing more is to be said.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit %d", e.code)
	}
	return e.err.Error()
}

func (e *exitError) Unwrap() error { return e.err }

// usage marks err as the caller's mistake.
func usage(err error) error { return &exitError{ExitUsage, err} }

func code(err error) int {
	var exit *exitError
	switch {
	case errors.As(err, &exit):
		return exit.code
	case errors.Is(err, bottletest.ErrConfig):
		return ExitUsage
	case errors.Is(err, bottletest.ErrNotIsolated):
		return ExitLeak
	}
	return ExitHarness
}

// settings are the flags that several commands share.
type settings struct {
	engine   string
	smolvm   string
	version  string
	topology string
	runtime  string
	outputs  []string
	verbose  bool
	begun    bool // the command line was taken, and a command runs

	stdout, stderr io.Writer
	saying         sync.Mutex // one line at a time to stderr
}

func newRoot(s *settings) *cobra.Command {
	var version bool
	root := &cobra.Command{
		Use:   "bottle-probe",
		Short: "Ask whether a sandbox holds",
		Long: "bottle-probe asks a sandbox whether it holds and answers with evidence: what was tried, which canary listened, which\n" +
			"control makes the answer count.\n\nExit codes: 0 contained, or a leak that is waived; 1 a leak, or an allowed path that does not work; 2 usage; 3 inconclusive; 4 the harness\nfailed.",
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if version {
				return s.printVersion(cmd.Context())
			}
			return cmd.Help()
		},
	}
	root.Flags().BoolVar(&version, "version", false, "say which bottle-probe this is: its version, and the digest of its probes and agent")
	root.SetOut(s.stdout)
	root.SetErr(s.stderr)
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usage(err) })
	flags := root.PersistentFlags()
	flags.StringVar(&s.engine, "engine", "", `guest engine: "smolvm", or "sim" for the simulator, which proves no VM (default $BOTTLE_ENGINE, else smolvm)`)
	flags.StringVar(&s.smolvm, "smolvm", "", "path of smolvm (default $BOTTLE_SMOLVM, else PATH)")
	flags.StringVar(&s.version, "sim-version", "", "smolvm release that the simulator imitates (default $SMOLVM_SIM_VERSION, else the newest)")
	flags.StringVar(&s.topology, "topology", "", `how the guest reaches the bundle: "bridge" or "alias" (default $BOTTLE_TOPOLOGY, else bridge where this host reaches a container)`)
	flags.StringVar(&s.runtime, "bundle-runtime", "", `what runs the bundle: "container" or "machine" (default $BOTTLE_BUNDLE_RUNTIME, else a container where an engine answers)`)
	flags.StringSliceVarP(&s.outputs, "output", "o", []string{"table"}, "table or json; of a report also junit, sarif, tap or html, or a file whose name ends in .json, .xml, .sarif, .tap, .html or .txt; may be given more than once")
	flags.BoolVarP(&s.verbose, "verbose", "v", false, "print every step and every process that is run to standard error")
	root.PersistentPreRunE = func(cmd *cobra.Command, _ []string) error { return s.checkOutput(cmd) }
	root.AddCommand(newRun(s), newCheck(s), newPlan(s), newPrepare(s), newDial(s), newList(s), newExplain(s), newReport(s), newDiff(s), newSelftest(s), newCertify(s), newVerify(s), newDoctor(s), newSweep(s))
	s.tell(root)
	return root
}

// tell has every command say how it is used where its arguments are wrong, and note that it has begun.
func (s *settings) tell(cmd *cobra.Command) {
	cmd.Args = usageArgs(cmd.Args)
	if run := cmd.RunE; run != nil {
		cmd.RunE = func(cmd *cobra.Command, args []string) error {
			s.begun = true
			return run(cmd, args)
		}
	}
	for _, c := range cmd.Commands() {
		s.tell(c)
	}
}

// usageArgs makes a wrong number of arguments, or an unknown command, a usage error.
func usageArgs(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if err := check(cmd, args); err != nil {
			return usage(fmt.Errorf("%w\nsee: %s --help", err, cmd.CommandPath()))
		}
		return nil
	}
}

// checkOutput refuses an --output that cmd does not write before anything is done.
func (s *settings) checkOutput(cmd *cobra.Command) error {
	if cmd.Annotations[reporting] == "" {
		return s.plainOutput()
	}
	if _, err := s.sinks(); err != nil {
		return usage(err)
	}
	return nil
}

// config is what a launch needs of the flags.
func (s *settings) config() bottletest.Config {
	cfg := bottletest.Config{
		Name: "probe", Engine: bottletest.Engine(s.engine), Smolvm: s.smolvm, Sim: bottletest.SimConfig{Version: s.version},
		Topology: bottletest.Topology(s.topology), BundleRuntime: bottletest.BundleRuntime(s.runtime),
	}
	if s.verbose {
		cfg.Logf = s.logf
	}
	return cfg
}

func (s *settings) logf(format string, args ...any) {
	s.saying.Lock()
	defer s.saying.Unlock()
	fmt.Fprintf(s.stderr, format+"\n", args...)
}
