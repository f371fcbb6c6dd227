package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"time"
)

// What a release may cost.
const (
	megabyte   = 1_000_000
	probeLimit = 30 * megabyte         // what somebody downloads and keeps
	agentLimit = 4 * megabyte          // what is copied into every guest
	startLimit = 30 * time.Millisecond // the median of starts
	starts     = 15
)

// held says what each product weighs and how long bottle-probe takes to start, where it can be started here, and fails if it is too much.
func held(ctx context.Context, made []product, say func(string, ...any)) error {
	var errs []error
	limits := map[string]int64{"bottle-probe": probeLimit, "bottle-agent": agentLimit}
	for _, p := range made {
		info, err := os.Stat(p.path)
		if err != nil {
			return err
		}
		size := fmt.Sprintf("%s has %.2f MB", p, float64(info.Size())/megabyte)
		say("%s", size)
		if limit, ok := limits[p.Command]; ok && info.Size() > limit {
			errs = append(errs, fmt.Errorf("%s, at most %d are allowed", size, limit/megabyte))
		}
		if p.Command == "bottle-probe" && p.GOOS == runtime.GOOS && p.GOARCH == runtime.GOARCH {
			errs = append(errs, startsInTime(ctx, p, say))
		}
	}
	return errors.Join(errs...)
}

// startsInTime has p list the probes several times.
func startsInTime(ctx context.Context, p product, say func(string, ...any)) error {
	var took []time.Duration
	for range starts {
		begin := time.Now()
		if out, err := exec.CommandContext(ctx, p.path, "list").CombinedOutput(); err != nil {
			return fmt.Errorf("%s list: %w\n%s", p.path, err, out)
		}
		took = append(took, time.Since(begin))
	}
	slices.Sort(took)
	median := took[len(took)/2]
	say("%s lists its probes in %s (median of %d, %s to %s)", p, median.Round(time.Millisecond/10), starts, took[0].Round(time.Millisecond/10), took[starts-1].Round(time.Millisecond/10))
	if median > startLimit {
		return fmt.Errorf("%s lists its probes in %s, at most %s are allowed", p, median, startLimit)
	}
	return nil
}
