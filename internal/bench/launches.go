package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"bottle.internal/bottletest"
	"bottle.internal/bundle"
	"bottle.internal/internal/gobuild"
)

// launchRounds are many: what the engine takes to start a container varies by a fifth from one to the next.
const launchRounds = 15

// launches compares bottletest with the same steps scripted one after the other: alternating, in one run, so that whatever
// else the machine does falls on both.
func launches(ctx context.Context) ([]figure, error) {
	s, err := newScript(ctx)
	if err != nil {
		return nil, err
	}
	var up, down, execs, rawUp, rawDown, rawExecs stopwatch
	for i := range launchRounds + 1 { // the first one warms the caches and is not counted
		if i == 1 {
			up, down, execs, rawUp, rawDown, rawExecs = nil, nil, nil, nil, nil, nil
		}
		if err := s.round(ctx, i, &rawUp, &rawDown); err != nil {
			return nil, err
		}
		if err := s.fixtureRound(ctx, &up, &execs, &rawExecs, &down); err != nil {
			return nil, err
		}
	}
	how := fmt.Sprintf("median of %d, alternating", launchRounds)
	return []figure{
		{"bottletest.Run to ready", up.median(), "ms", 0, how + "; launch gate included"},
		{"the same steps scripted", rawUp.median(), "ms", 0, how + "; raw docker and smolvm-sim"},
		{"launch ratio", up.over(rawUp), "x", 0.8, "bottletest / scripted, median of the pairs"},
		{"Bottle.Close", down.median(), "ms", 0, how},
		{"the same scripted", rawDown.median(), "ms", 0, how},
		{"teardown ratio", down.over(rawDown), "x", 0.75, "bottletest / scripted, median of the pairs"},
		{"Bottle.Exec true", execs.median(), "ms", 0, fmt.Sprintf("median of %d", launchRounds*execsPerBoot)},
		{"exec ratio", execs.median() / rawExecs.median(), "x", 1.1, "bottletest / raw command line, by turns in the same machine"},
	}, nil
}

// fixtureRound is one bottle by the fixture. Commands in it are run by turns through the fixture and with the raw command line, so that
// a machine that is loud for a moment is loud for both.
func (s *script) fixtureRound(ctx context.Context, up, execs, rawExecs, down *stopwatch) error {
	var b *bottletest.Bottle
	err := up.time(func() (err error) {
		b, err = bottletest.Run(ctx, bottletest.Config{Name: "bench", Engine: bottletest.Simulator})
		return err
	})
	if err != nil {
		return err
	}
	raw := []string{s.sim, "machine", "exec", "--name", b.Plan().Machine, "--", "true"}
	for range execsPerBoot {
		if err := rawExecs.time(func() error { return command(ctx, raw...) }); err != nil {
			return err
		}
		if err := execs.time(func() error { _, err := b.Exec(ctx, "true"); return err }); err != nil {
			return err
		}
	}
	return down.time(func() error { return b.Close(ctx) })
}

// A script is what a person would write without the fixture: the raw command lines, one after the other.
type script struct {
	docker, sim, agent, image string
	dir                       string
}

func newScript(ctx context.Context) (*script, error) {
	docker, err := exec.LookPath("docker")
	if err != nil {
		return nil, fmt.Errorf("the comparison needs docker's command line: %w", err)
	}
	engine, err := bundle.Detect(ctx)
	if err != nil {
		return nil, err
	}
	engine.Configure()
	s := &script{docker: docker, dir: os.TempDir()}
	if s.image, err = bundle.Image(ctx, engine); err != nil {
		return nil, err
	}
	if s.sim, err = gobuild.Binary(ctx, gobuild.Target{Command: "smolvm-sim"}); err != nil {
		return nil, err
	}
	s.agent, err = gobuild.Binary(ctx, gobuild.Target{Command: "bottle-agent"})
	return s, err
}

// round is one bottle by hand: network, container, wait for its log, machine, two commands in a row, the agent, and one look
// from inside at the allowed address. The fixture's gate does more than that look.
func (s *script) round(ctx context.Context, i int, up, down *stopwatch) error {
	name := fmt.Sprintf("bottle-bench-raw-%d-%d", os.Getpid(), i)
	subnet := fmt.Sprintf("10.78.%d", i)
	do := func(argvs ...[]string) func() error {
		return func() error {
			for _, argv := range argvs {
				if err := command(ctx, argv...); err != nil {
					return err
				}
			}
			return nil
		}
	}
	machine := func(verb string, args ...string) []string {
		return append([]string{s.sim, "machine", verb, "--name", name}, args...)
	}
	execTrue := machine("exec", "--", "true")
	err := up.time(func() error {
		if err := do(
			[]string{s.docker, "network", "create", "--subnet", subnet + ".0/24", "--gateway", subnet + ".1", name},
			[]string{s.docker, "run", "-d", "--name", name, "--network", name, "--ip", subnet + ".2", s.image})(); err != nil {
			return err
		}
		if err := s.waitLog(ctx, name); err != nil {
			return err
		}
		return do(
			machine("create", "--net", "--allow-cidr", subnet+".2/32"), machine("start"), execTrue, execTrue,
			[]string{s.sim, "machine", "cp", s.agent, name + ":/.bottle/agent", "--mode", "755"},
			[]string{s.docker, "exec", name, "/bottle-bundle", "listeners"}, execTrue)()
	})
	downErr := down.time(do(machine("stop"), machine("delete", "-f"),
		[]string{s.docker, "rm", "-f", name}, []string{s.docker, "network", "rm", name}))
	if err != nil {
		return err
	}
	return downErr
}

// waitLog waits until the bundle says that it is up.
func (s *script) waitLog(ctx context.Context, name string) error {
	for range 200 {
		out, err := exec.CommandContext(ctx, s.docker, "logs", name).CombinedOutput()
		if err == nil && len(out) > 0 {
			return nil
		}
		time.Sleep(5 * time.Millisecond)
	}
	return fmt.Errorf("waited for a log line of container %q (%s)", name, filepath.Base(s.image))
}
