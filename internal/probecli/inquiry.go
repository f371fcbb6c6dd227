package probecli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"bottle.internal/probes"
	"bottle.internal/probes/reports"
)

// An inquiry is what run and check have in common: which probes, how they are tried, and what is made of the findings.
type inquiry struct {
	selection
	judgement
	attempts int
	online   bool
	seed     uint64
	baseline string
	timeout  time.Duration
	then     func(judged probes.Report) error // is done with the report of a run that came to its end; nil is nothing
}

func (q *inquiry) flags(cmd *cobra.Command) {
	q.selection.flags(cmd)
	f := cmd.Flags()
	f.StringVar(&q.profile, "profile", "", profileHelp())
	f.StringVar(&q.waivers, "waivers", "", "path of a YAML profile whose waivers are taken besides")
	f.BoolVar(&q.strict, "strict", false, "demand of each contained finding the assurance that profile strict wants for its severity")
	f.StringVar(&q.baseline, "baseline", "", "path of an earlier JSON report: only what is worse than it is red")
	f.IntVar(&q.attempts, "attempts", 0, "how often each denial is tried; the worst counts (default 2)")
	f.Uint64Var(&q.seed, "seed", 0, "what the probes of policy.boundary draw by; the report has it (default 1)")
	f.BoolVar(&q.online, "online", false, "probe public addresses too, where nothing stands in for them: packets leave this host")
	f.DurationVar(&q.timeout, "timeout", 0, "end the whole run after this long, torn down as by Ctrl-C (default none)")
	cmd.Annotations = map[string]string{reporting: "true"}
}

// reporting annotates the commands that write a report, in any of its formats.
const reporting = "reporting"

// errTimeout is why a run ended that took longer than --timeout.
var errTimeout = errors.New("--timeout is over")

// A prober runs probes and tears down what it made for them.
type prober func(ctx context.Context, opts probes.Options, ids []string) (probes.Report, error)

// ask runs the inquiry by do and writes what came of it.
func (s *settings) ask(ctx context.Context, q inquiry, do prober) error {
	ids, err := q.ids()
	if err != nil {
		return usage(err)
	}
	if err := q.check(); err != nil {
		return err
	}
	old, err := q.oldReport()
	if err != nil {
		return usage(err)
	}
	if q.timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, q.timeout, errTimeout)
		defer cancel()
	}
	done := s.still("at work")
	rep, err := do(ctx, probes.Options{Attempts: q.attempts, Online: q.online, Seed: q.seed}, ids)
	done()
	if err != nil {
		return s.broken(q.judgement, rep, err)
	}
	if rep, err = s.apply(q.judgement, rep); err != nil {
		return err
	}
	if q.then != nil {
		if err := q.then(rep); err != nil {
			return errors.Join(err, s.write(rep))
		}
	}
	if old == nil {
		return s.print(rep)
	}
	return s.compare(*old, rep)
}

// An uncleanError is that a run came to its end, and what it had made could not be taken away.
type uncleanError struct{ error }

func (e uncleanError) Unwrap() error { return e.error }

// unclean is the error of a run that ended with err and was then taken away, or not.
func unclean(err, closing error) error {
	if err == nil && closing != nil {
		return uncleanError{closing}
	}
	return errors.Join(err, closing)
}

// broken writes what there is of a run with an error: it may be a leak. It is judged as any, and says that it is not all.
func (s *settings) broken(j judgement, rep probes.Report, err error) error {
	if len(rep.Findings) == 0 || rep.Guest == nil && rep.Worst() != probes.Leak {
		return err
	}
	what := "the run did not end: "
	if errors.As(err, new(uncleanError)) {
		what = "the run ended, its findings are judged, and it is not clean: "
	}
	rep = rep.Faulty(what + strings.Join(strings.Fields(err.Error()), " "))
	judged, unjudged := s.apply(j, rep)
	return errors.Join(err, unjudged, s.write(judged))
}

// oldReport is the baseline, nil if none is asked for.
func (q inquiry) oldReport() (*probes.Report, error) {
	if q.baseline == "" {
		return nil, nil
	}
	r, err := readReport(q.baseline)
	return &r, err
}

// compare writes the new report, and what is worse than the old one decides.
func (s *settings) compare(old, rep probes.Report) error {
	if err := s.write(rep); err != nil {
		return err
	}
	d := reports.Diff(old, rep)
	if err := d.Write(s.stderr); err != nil {
		return err
	}
	return exitWith(d.ExitCode())
}

// readReport reads a report that was written as JSON.
func readReport(path string) (probes.Report, error) {
	f, err := os.Open(path)
	if err != nil {
		return probes.Report{}, err
	}
	defer func() { _ = f.Close() }()
	r, err := reports.Read(f)
	if err != nil {
		return probes.Report{}, fmt.Errorf("%s: %w", path, err)
	}
	return r, nil
}
