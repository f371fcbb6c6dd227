// Package stage runs the parts of a gate one after the other and says at the end what every one of them did.
package stage

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"bottle.internal/internal/gate/tally"
)

// A Stage is one part of a run.
type Stage struct {
	// Name is what the table calls it.
	Name string
	// Tests is true of a stage that executes tests: one that executed none has failed. Every other stage is a check, which
	// counts only when it fails.
	Tests bool
	// Run does the work and writes what people read to w. An error that is not already among the tally's failures counts as one.
	Run func(ctx context.Context, w io.Writer) (tally.Tally, error)
}

// Check makes a stage of something that passes or fails as a whole.
func Check(name string, run func(ctx context.Context, w io.Writer) error) Stage {
	return Stage{Name: name, Run: func(ctx context.Context, w io.Writer) (tally.Tally, error) { return tally.Tally{}, run(ctx, w) }}
}

// A result is what one stage did.
type result struct {
	name  string
	took  time.Duration
	tally tally.Tally
}

// A Run is a sequence of stages with one account at its end.
type Run struct {
	// Banner is printed first, and last but for the count; "" is none.
	Banner string
	// Out receives everything. The last line written is "N passed, N failed, N skipped".
	Out io.Writer

	results []result
}

// Do runs the stages in order, all of them whatever fails, until ctx ends. It returns the process's exit code: 0 when nothing
// failed, and 1 otherwise.
func (r *Run) Do(ctx context.Context, stages ...Stage) int {
	r.banner()
	for _, s := range stages {
		r.results = append(r.results, r.one(ctx, s))
	}
	return r.finish()
}

func (r *Run) one(ctx context.Context, s Stage) result {
	res := result{name: s.Name}
	if err := context.Cause(ctx); err != nil {
		res.tally.Fail(s.Name, "", "not run: "+err.Error())
		return res
	}
	_, _ = fmt.Fprintf(r.Out, "\n== %s\n", s.Name)
	start := time.Now()
	t, err := s.Run(ctx, r.Out)
	res.tally, res.took = t, time.Since(start)
	if err != nil && len(t.Failures) == 0 {
		res.tally.Fail(s.Name, "", err.Error())
	}
	if s.Tests && res.tally.Executed() == 0 {
		res.tally.Fail(s.Name, "", "no test was executed, which proves nothing")
	}
	_, _ = fmt.Fprintf(r.Out, "-- %s: %s, %.1fs\n", s.Name, res.verdict(), res.took.Seconds())
	return res
}

func (r result) verdict() string {
	if len(r.tally.Failures) > 0 {
		return "FAILED"
	}
	return "ok"
}

func (r *Run) banner() {
	if r.Banner != "" {
		_, _ = fmt.Fprintln(r.Out, r.Banner)
	}
}

// finish prints the account and returns the exit code.
func (r *Run) finish() int {
	var total tally.Tally
	for _, res := range r.results {
		total.Add(res.tally)
	}
	r.cases("skipped", total.Skips)
	r.cases("failed", total.Failures)
	r.table()
	r.banner()
	_, _ = fmt.Fprintln(r.Out, &total)
	if len(total.Failures) > 0 {
		return 1
	}
	return 0
}

// firstLines and lastLines bound what the account repeats of a reason, all of which was printed where it happened: a panic says at
// its beginning what is wrong, a test that logs much at its end.
const (
	firstLines = 6
	lastLines  = 8
)

func (r *Run) cases(word string, cases []tally.Case) {
	if len(cases) == 0 {
		return
	}
	_, _ = fmt.Fprintf(r.Out, "\n%s:\n", word)
	for _, c := range cases {
		lines := strings.Split(c.Reason, "\n")
		if c.Reason == "" {
			lines = []string{"no reason given"}
		}
		if len(lines) > firstLines+lastLines {
			lines = slices.Concat(lines[:firstLines], []string{"…"}, lines[len(lines)-lastLines:])
		}
		_, _ = fmt.Fprintf(r.Out, "  %s\n      %s\n", c, strings.Join(lines, "\n      "))
	}
}

func (r *Run) table() {
	_, _ = fmt.Fprintln(r.Out)
	w := tabwriter.NewWriter(r.Out, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(w, "stage\tresult\tseconds\tpassed\tfailed\tskipped")
	var all time.Duration
	for _, res := range r.results {
		all += res.took
		_, _ = fmt.Fprintf(w, "%s\t%s\t%.1f\t%d\t%d\t%d\n", res.name, res.verdict(), res.took.Seconds(),
			res.tally.Passed, len(res.tally.Failures), len(res.tally.Skips))
	}
	_, _ = fmt.Fprintf(w, "all\t\t%.1f\n", all.Seconds())
	_ = w.Flush()
}
