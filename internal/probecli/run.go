package probecli

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"bottle.internal/bottletest"
	"bottle.internal/probes"
)

func newRun(s *settings) *cobra.Command {
	var f launchFlags
	var q inquiry
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Launch a bottle, probe it from inside, tear it down",
		Long:  "run launches an ephemeral bottle with the bundle's proxy and egress daemons, runs the probes inside its guest and tears it down.",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return s.ask(cmd.Context(), q, func(ctx context.Context, opts probes.Options, ids []string) (probes.Report, error) {
				return s.run(ctx, f, opts, ids)
			})
		},
	}
	q.flags(cmd)
	cmd.Flags().BoolVar(&f.keep, "keep", false, "leave the bottle standing; sweep removes it")
	f.flags(cmd)
	return cmd
}

// launchFlags say what run launches.
type launchFlags struct {
	keep    bool
	image   string
	offline bool
	twin    bool
	origin  bool
}

func (f *launchFlags) flags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.image, "image", "", "what the guest boots: a registry reference, or the path of a .smolmachine, an image archive or a directory (default a bare guest)")
	cmd.Flags().BoolVar(&f.offline, "offline", false, "ask no registry for the image: take the newest pack that the cache has of it")
	cmd.Flags().BoolVar(&f.origin, "proxy-origin", false, "put two names of the kit's own on the bundle's list, for the probes that ask what its proxy allows; the report has them in its policy")
	cmd.Flags().BoolVar(&f.twin, "twin", false, "boot a second guest without the policy, which has to reach what the first does not (control C3)")
}

// config is what is launched: the default bundle with the daemons that have something to hide.
func (f launchFlags) config(s *settings) bottletest.Config {
	cfg := s.config()
	cfg.Daemons = []string{"proxy", "egress"}
	cfg.Ungated, cfg.Keep = true, f.keep
	cfg.Image, cfg.Offline, cfg.Twin, cfg.ProxyOrigin = f.image, f.offline, f.twin, f.origin
	return cfg
}

// run launches, probes and tears down. A bottle that fails its launch gate is handed out all the same: what is wrong with it
// is the answer.
func (s *settings) run(ctx context.Context, f launchFlags, opts probes.Options, ids []string) (probes.Report, error) {
	s.progress("launching a bottle")
	begin := time.Now()
	b, err := bottletest.Run(ctx, f.config(s))
	if err != nil {
		return probes.Report{}, err
	}
	s.progress("up after %s: %s", time.Since(begin).Round(time.Millisecond), b.Describe())
	opts.Scenes = true // the bottle is this run's alone
	rep, err := b.ProbeWith(ctx, opts, ids...)
	if f.keep {
		s.progress("kept: machine %s (bottle-probe check bottle %s; bottle-probe sweep)", b.Plan().Machine, b.Plan().Machine)
	}
	return rep, unclean(err, s.close(ctx, b))
}

func (s *settings) close(ctx context.Context, b *bottletest.Bottle) error {
	err := b.Close(ctx)
	if ctx.Err() != nil && err == nil {
		s.progress("torn down: machine, bundle and network of %s", b.Plan().Machine)
	}
	return err
}

// still says every few seconds that what takes long is under way, until what comes back is called.
func (s *settings) still(doing string) (done func()) {
	begin, stop := time.Now(), make(chan struct{})
	var saying sync.WaitGroup
	saying.Go(func() {
		for pause := time.Second; ; pause = 5 * time.Second {
			select {
			case <-stop:
				return
			case <-time.After(pause):
				s.progress("%s, %s so far", doing, time.Since(begin).Round(time.Second))
			}
		}
	})
	return func() {
		close(stop)
		saying.Wait()
	}
}

func (s *settings) progress(format string, args ...any) {
	s.saying.Lock()
	defer s.saying.Unlock()
	fmt.Fprintf(s.stderr, "bottle-probe: "+format+"\n", args...)
}
