package suite

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"bottle.internal/internal/gate/host"
	"bottle.internal/internal/gate/proc"
	"bottle.internal/internal/gate/tally"
)

// Limits of one suite on one variant, each with room for the clean-up of the one before: Ginkgo's timeout runs every
// DeferCleanup, the test binary's and the kill run none.
const (
	specsLimit   = 9 * time.Minute
	processLimit = 11 * time.Minute
	killLimit    = 12 * time.Minute
	// pollProgress is when a node that is still running starts to say where it is.
	pollProgress = 30 * time.Second
)

// A Runner runs suites. All its fields are needed.
type Runner struct {
	Root      string         // the module's directory
	Artifacts string         // absolute; reports and evidence go below <suite>/<variant>
	Bin       string         // where test binaries are built
	Engine    host.Engine    // what launches the bottles
	Variants  []host.Variant // the kinds of bottle to run on
	Flags     []string       // of the build, such as -race
	Out       io.Writer
}

// Run builds each suite once and runs it on every variant. The error is about a suite that does not build, after the
// others have run.
func (r Runner) Run(ctx context.Context, suites []Suite) ([]Result, error) {
	var results []Result
	var first error
	for _, s := range suites {
		bin, err := r.build(ctx, s)
		if err != nil && first == nil {
			first = err
		}
		for _, v := range r.Variants {
			if err != nil {
				results = append(results, broke(s, v, err))
				continue
			}
			results = append(results, r.one(ctx, s, v, bin))
		}
	}
	return results, first
}

// broke is the result of a run that has no report.
func broke(s Suite, v host.Variant, err error) Result {
	r := Result{Suite: s.Name, Variant: v}
	r.Tally.Fail(group(s.Name, v), "", err.Error())
	return r
}

func (r Runner) build(ctx context.Context, s Suite) (string, error) {
	bin := filepath.Join(r.Bin, s.Name+".test")
	args := append([]string{"test", "-c", "-o", bin}, append(r.Flags, s.ImportPath)...)
	return bin, proc.Run(ctx, r.Out, r.Root, nil, "go", args...)
}

func (r Runner) one(ctx context.Context, s Suite, v host.Variant, bin string) Result {
	_, _ = fmt.Fprintf(r.Out, "-- %s\n", group(s.Name, v))
	dir := filepath.Join(r.Artifacts, s.Name, v.String())
	// A report of an earlier run must not pass for this one's.
	if err := os.RemoveAll(dir); err != nil {
		return broke(s, v, err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return broke(s, v, err)
	}
	start := time.Now()
	exit := r.exec(ctx, s, v, bin, dir)
	text, err := os.ReadFile(filepath.Join(dir, "report.json"))
	if err != nil {
		return broke(s, v, errors.Join(errors.New("the process ended without a report"), exit, err))
	}
	report, err := tally.Ginkgo(text)
	if err != nil {
		return broke(s, v, err)
	}
	res := judge(s.Name, r.Engine.Simulated, v, report, exit)
	res.Seconds = time.Since(start).Seconds()
	return res
}

func (r Runner) exec(ctx context.Context, s Suite, v host.Variant, bin, dir string) error {
	ctx, cancel := context.WithTimeout(ctx, killLimit)
	defer cancel()
	log, err := os.Create(filepath.Join(dir, "output.log"))
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }()
	return proc.Run(ctx, io.MultiWriter(r.Out, log), s.Dir, r.environment(v, dir), bin, arguments(dir)...)
}

func (r Runner) environment(v host.Variant, dir string) []string {
	return append(append(r.Engine.Env(), "BOTTLE_REQUIRE=1", "BOTTLE_ARTIFACTS="+dir), v.Env()...)
}

// arguments are the test binary's: -test.timeout is of "go test", the rest of Ginkgo.
func arguments(dir string) []string {
	return []string{
		"-test.timeout=" + processLimit.String(),
		"-ginkgo.timeout=" + specsLimit.String(),
		"-ginkgo.randomize-all", "-ginkgo.fail-on-pending", "-ginkgo.fail-on-empty",
		"-ginkgo.poll-progress-after=" + pollProgress.String(),
		"-ginkgo.succinct", "-ginkgo.no-color",
		"-ginkgo.json-report=" + filepath.Join(dir, "report.json"),
		"-ginkgo.junit-report=" + filepath.Join(dir, "junit.xml"),
	}
}
