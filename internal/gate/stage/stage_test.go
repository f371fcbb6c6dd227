package stage

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	"bottle.internal/internal/gate/tally"
)

func tests(name string, t tally.Tally, err error) Stage {
	return Stage{Name: name, Tests: true, Run: func(context.Context, io.Writer) (tally.Tally, error) { return t, err }}
}

func check(name string, err error) Stage {
	return Check(name, func(context.Context, io.Writer) error { return err })
}

func run(ctx context.Context, stages ...Stage) (code int, out, last string) {
	var b strings.Builder
	code = (&Run{Banner: "SIMULATED", Out: &b}).Do(ctx, stages...)
	lines := strings.Split(strings.TrimSuffix(b.String(), "\n"), "\n")
	return code, b.String(), lines[len(lines)-1]
}

func TestTheAccount(t *testing.T) {
	failed := tally.Tally{Passed: 2}
	failed.Fail("unit", "TestWalls", "a hole")
	skipped := tally.Tally{Passed: 1}
	skipped.Skip("unit", "TestKVM", "needs /dev/kvm")
	for _, c := range []struct {
		name   string
		stages []Stage
		code   int
		last   string
		says   string
	}{
		{"green", []Stage{check("lint", nil), tests("unit", tally.Tally{Passed: 3}, nil)}, 0, "3 passed, 0 failed, 0 skipped", "unit   ok"},
		{"a failed test", []Stage{tests("unit", failed, errors.New("exit status 1"))}, 1, "2 passed, 1 failed, 0 skipped", "unit: TestWalls\n      a hole"},
		{"a failed check", []Stage{check("lint", errors.New("2 findings")), tests("unit", tally.Tally{Passed: 3}, nil)}, 1, "3 passed, 1 failed, 0 skipped", "2 findings"},
		{"a command that fails with every test green", []Stage{tests("unit", tally.Tally{Passed: 3}, errors.New("exit status 2"))}, 1, "3 passed, 1 failed, 0 skipped", "exit status 2"},
		{"nothing executed", []Stage{tests("unit", tally.Tally{}, nil)}, 1, "0 passed, 1 failed, 0 skipped", "proves nothing"},
		{"a skip is told with its reason", []Stage{tests("unit", skipped, nil)}, 0, "1 passed, 0 failed, 1 skipped", "needs /dev/kvm"},
	} {
		t.Run(c.name, func(t *testing.T) {
			code, out, last := run(t.Context(), c.stages...)
			if code != c.code || last != c.last {
				t.Errorf("exit %d, %q; want %d, %q", code, last, c.code, c.last)
			}
			if !strings.Contains(out, c.says) {
				t.Errorf("it does not say %q:\n%s", c.says, out)
			}
			if strings.Count(out, "SIMULATED\n") != 2 || !strings.HasPrefix(out, "SIMULATED\n") {
				t.Errorf("the banner is not first and last:\n%s", out)
			}
		})
	}
}

func TestALongReasonKeepsBothEnds(t *testing.T) {
	var long tally.Tally
	long.Fail("unit", "TestWalls", "panic: first"+strings.Repeat("\nmiddle", 50)+"\nwalls_test.go:9: last")
	_, out, _ := run(t.Context(), tests("unit", long, nil))
	if n := strings.Count(out, "middle"); !strings.Contains(out, "panic: first\n") || !strings.Contains(out, "walls_test.go:9: last\n") || n != 12 {
		t.Errorf("%d lines of the middle:\n%s", n, out)
	}
}

func TestOnlySkipsIsAFailure(t *testing.T) {
	var all tally.Tally
	all.Skip("smoke", "hello", "needs smolvm")
	if code, _, last := run(t.Context(), tests("integration", all, nil)); code != 1 || last != "0 passed, 1 failed, 1 skipped" {
		t.Errorf("exit %d, %q", code, last)
	}
}

func TestACancelledRunFails(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	first := Check("first", func(context.Context, io.Writer) error { cancel(); return nil })
	code, out, last := run(ctx, first, tests("unit", tally.Tally{Passed: 3}, nil))
	if code != 1 || last != "0 passed, 1 failed, 0 skipped" || !strings.Contains(out, "not run: context canceled") {
		t.Errorf("exit %d, %q:\n%s", code, last, out)
	}
}
