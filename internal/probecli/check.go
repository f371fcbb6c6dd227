package probecli

import (
	"context"
	"errors"
	"fmt"
	"net/netip"

	"github.com/spf13/cobra"

	"bottle.internal/bottletest"
	"bottle.internal/internal/target"
	"bottle.internal/probes"
)

const checkLong = `check asks a sandbox that is there already. Everything that is missing for an answer is brought along: the agent travels by
copy, through a shell's standard input or by its path on this host, whichever works, and is taken away again; canaries of this run listen
on this host's addresses.

The positive control is an address of this host that the sandbox reaches; with --allowed it is one that it may reach. A sandbox that
reaches none is contained only if this host's kernel sees it without a network; else its denials are inconclusive.`

func newCheck(s *settings) *cobra.Command {
	var q inquiry
	var f targetFlags
	cmd := &cobra.Command{
		Use:   "check -- ARGV...",
		Short: "Probe a sandbox that is there already: a bottle, a machine, a container, or whatever runs a command",
		Long:  checkLong,
		Example: `  bottle-probe check container web
  bottle-probe check -- bwrap --unshare-all --ro-bind / / --dev /dev --proc /proc
  bottle-probe check -- ssh host
  bottle-probe check -- docker exec -i web
  bottle-probe check -- sh -c`,
		Args: func(cmd *cobra.Command, args []string) error {
			if cmd.ArgsLenAtDash() != 0 || len(args) == 0 {
				return errors.New("check what? bottle NAME, machine NAME, container ID, here, or a command's beginning after --")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, argv []string) error {
			return s.check(cmd.Context(), q, f, func(ctx context.Context, o target.Options) (*target.Sandbox, error) {
				return target.Behind(ctx, argv, o)
			})
		},
	}
	q.flags(cmd)
	f.flags(cmd)
	cmd.AddCommand(newCheckBottle(s), newCheckMachine(s), newCheckContainer(s), newCheckHere(s))
	return cmd
}

// targetFlags say what is known of a sandbox that this kit did not make.
type targetFlags struct{ allowed []string }

func (f *targetFlags) flags(cmd *cobra.Command) {
	cmd.Flags().StringSliceVar(&f.allowed, "allowed", nil, "addresses of this host that the sandbox may dial: a listener of this run at one of them is the positive control (default every address, by trying)")
}

func (f targetFlags) options(s *settings) (target.Options, error) {
	o := target.Options{Passing: bottletest.Gateways()}
	if s.verbose {
		o.Logf = s.logf
	}
	for _, text := range f.allowed {
		addr, err := netip.ParseAddr(text)
		if err != nil {
			return o, usage(fmt.Errorf("--allowed %q: want an IP address of this host", text))
		}
		o.Allowed = append(o.Allowed, addr)
	}
	return o, nil
}

// check probes the sandbox that enter finds a way into.
func (s *settings) check(ctx context.Context, q inquiry, f targetFlags, enter func(context.Context, target.Options) (*target.Sandbox, error)) error {
	return s.ask(ctx, q, func(ctx context.Context, opts probes.Options, ids []string) (probes.Report, error) {
		o, err := f.options(s)
		if err != nil {
			return probes.Report{}, err
		}
		box, err := enter(ctx, o)
		if err != nil {
			return probes.Report{}, err
		}
		s.progress("the agent runs %s", box.Way())
		rep, err := box.Probe(ctx, opts, ids...)
		if err == nil {
			err = mute(rep)
		}
		return rep, unclean(err, box.Close(context.WithoutCancel(ctx)))
	})
}

// mute is the error of a sandbox that gave no answer and let nothing out: it would stand on every line of the report.
func mute(rep probes.Report) error {
	if rep.Guest != nil || rep.Worst() != probes.Error {
		return nil
	}
	for _, f := range rep.Findings {
		if f.Verdict == probes.Error {
			return fmt.Errorf("the sandbox gave no answer: %s", f.Reason)
		}
	}
	return nil
}

func newCheckContainer(s *settings) *cobra.Command {
	var q inquiry
	var f targetFlags
	cmd := &cobra.Command{
		Use:   "container ID",
		Short: "Probe a container that is running",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return s.check(cmd.Context(), q, f, func(ctx context.Context, o target.Options) (*target.Sandbox, error) {
				return target.Container(ctx, args[0], o)
			})
		},
	}
	q.flags(cmd)
	f.flags(cmd)
	return cmd
}

func newCheckHere(s *settings) *cobra.Command {
	var q inquiry
	var f targetFlags
	cmd := &cobra.Command{
		Use:   "here",
		Short: "Probe this process's own surroundings",
		Long: "here runs the agent beside bottle-probe itself. The canaries are in the same place, so what it shows is what a sandbox adds\n" +
			"nothing to: run it on a bare host to see every probe red, or inside a sandbox for what can be seen of the files and privileges there.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return s.check(cmd.Context(), q, f, func(ctx context.Context, o target.Options) (*target.Sandbox, error) {
				return target.Behind(ctx, nil, o)
			})
		},
	}
	q.flags(cmd)
	f.flags(cmd)
	return cmd
}

func newCheckBottle(s *settings) *cobra.Command {
	return newAttached(s, "bottle NAME", "Probe a bottle that is up", func(b *bottletest.Bottle, name string) error {
		if !b.Plan().Bundle.IsValid() {
			return fmt.Errorf("%s has no bundle: it is no bottle of this kit (bottle-probe check machine %s)", name, name)
		}
		return nil
	})
}

func newCheckMachine(s *settings) *cobra.Command {
	return newAttached(s, "machine NAME", "Probe any smolvm machine that is up; one that reaches no address of this host has denials that are inconclusive", func(*bottletest.Bottle, string) error { return nil })
}

// newAttached probes a machine that somebody else has launched, and leaves it as it is.
func newAttached(s *settings, use, short string, accept func(*bottletest.Bottle, string) error) *cobra.Command {
	var q inquiry
	cmd := &cobra.Command{
		Use: use, Short: short, Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return s.ask(cmd.Context(), q, func(ctx context.Context, opts probes.Options, ids []string) (probes.Report, error) {
				b, err := bottletest.Attach(ctx, s.config(), args[0])
				if err != nil {
					return probes.Report{}, err
				}
				if err := accept(b, args[0]); err != nil {
					return probes.Report{}, errors.Join(err, b.Close(ctx))
				}
				rep, err := b.ProbeWith(ctx, opts, ids...)
				return rep, unclean(err, b.Close(context.WithoutCancel(ctx)))
			})
		},
	}
	q.flags(cmd)
	return cmd
}
