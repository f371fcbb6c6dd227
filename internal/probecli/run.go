package probecli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"bottle.internal/bottletest"
	"bottle.internal/probes"
)

func newRun(s *settings) *cobra.Command {
	var only []string
	var f launchFlags
	var j judgement
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Launch a bottle, probe it from inside, tear it down",
		Long:  "run launches an ephemeral bottle with the bundle's proxy and egress daemons, runs the probes inside its guest and tears it down.",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if _, err := probes.Select(only...); err != nil {
				return usage(err)
			}
			if err := j.check(); err != nil {
				return err
			}
			return s.run(cmd.Context(), only, f, j)
		},
	}
	cmd.Flags().StringSliceVar(&only, "only", nil, "ids of the probes to run (default all; see list)")
	cmd.Flags().BoolVar(&f.keep, "keep", false, "leave the bottle standing; sweep removes it")
	cmd.Flags().StringVar(&f.image, "image", "", "what the guest boots: a registry reference, or the path of a .smolmachine, an image archive or a directory (default a bare guest)")
	cmd.Flags().BoolVar(&f.offline, "offline", false, "ask no registry for the image: take the newest pack that the cache has of it")
	cmd.Flags().BoolVar(&f.twin, "twin", false, "boot a second guest without the policy, which has to reach what the first does not (control C3)")
	cmd.Flags().StringVar(&j.profile, "profile", "", profileHelp())
	cmd.Flags().StringVar(&j.waivers, "waivers", "", "path of a YAML profile whose waivers are taken besides")
	return cmd
}

// launchFlags say what run launches.
type launchFlags struct {
	keep    bool
	image   string
	offline bool
	twin    bool
}

// run launches, probes and tears down. A bottle that fails its launch gate is handed out all the same: what is wrong with it
// is the answer.
func (s *settings) run(ctx context.Context, only []string, f launchFlags, j judgement) error {
	cfg := s.config()
	cfg.Daemons = []string{"proxy", "egress"}
	cfg.Ungated, cfg.Keep = true, f.keep
	cfg.Image, cfg.Offline, cfg.Twin = f.image, f.offline, f.twin
	s.progress("launching a bottle")
	begin := time.Now()
	b, err := bottletest.Run(ctx, cfg)
	if err != nil {
		return err
	}
	s.progress("up after %s: %s", time.Since(begin).Round(time.Millisecond), b.Describe())
	rep, err := b.Probe(ctx, only...)
	if f.keep {
		s.progress("kept: machine %s (bottle-probe dial HOST:PORT --machine %s; bottle-probe sweep)", b.Plan().Machine, b.Plan().Machine)
	}
	if closeErr := s.close(ctx, b); closeErr != nil {
		err = errors.Join(err, closeErr)
	}
	if err != nil {
		return err
	}
	if rep, err = s.apply(j, rep); err != nil {
		return err
	}
	return s.print(rep)
}

func (s *settings) close(ctx context.Context, b *bottletest.Bottle) error {
	err := b.Close(ctx)
	if ctx.Err() != nil && err == nil {
		s.progress("torn down: machine, bundle and network of %s", b.Plan().Machine)
	}
	return err
}

// print writes the report and turns its worst verdict into the exit code.
func (s *settings) print(rep probes.Report) error {
	var err error
	if s.output == "json" {
		enc := json.NewEncoder(s.stdout)
		enc.SetIndent("", "  ")
		err = enc.Encode(rep)
	} else {
		_, err = fmt.Fprint(s.stdout, rep)
	}
	if err != nil {
		return err
	}
	if code := rep.ExitCode(); code != ExitClean {
		return &exitError{code: code}
	}
	return nil
}

func (s *settings) progress(format string, args ...any) {
	fmt.Fprintf(s.stderr, "bottle-probe: "+format+"\n", args...)
}
