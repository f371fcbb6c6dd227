package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"bottle.internal/internal/gobuild"
)

const (
	rounds       = 9
	execsPerBoot = 10
)

// simulator measures the raw command line: boot to first exec, one exec, and the memory of an idle machine.
func simulator(ctx context.Context) ([]figure, error) {
	sim, err := gobuild.Binary(ctx, gobuild.Target{Command: "smolvm-sim"})
	if err != nil {
		return nil, err
	}
	var boot, first, one stopwatch
	var memory []float64
	for i := range rounds {
		name := fmt.Sprintf("bottle-bench-%d-%d", os.Getpid(), i)
		if err := boots(ctx, sim, name, &boot, &first, &one, &memory); err != nil {
			return nil, err
		}
	}
	slices.Sort(memory)
	how := fmt.Sprintf("median of %d, personality of the default release", rounds)
	return []figure{
		{"machine start to first exec", first.median(), "ms", 200, how},
		{"machine start", boot.median(), "ms", 0, how},
		{"machine exec true", one.median(), "ms", 20, fmt.Sprintf("median of %d", rounds*execsPerBoot)},
		{"memory of a machine", memory[len(memory)/2], "MB", 50, "PSS of its processes when idle"},
	}, nil
}

func boots(ctx context.Context, sim, name string, boot, first, one *stopwatch, memory *[]float64) error {
	defer func() { _ = command(context.WithoutCancel(ctx), sim, "machine", "delete", "--name", name, "-f") }()
	if err := command(ctx, sim, "machine", "create", "--name", name, "--net", "--allow-cidr", "127.0.0.2/32"); err != nil {
		return err
	}
	before := processes(sim)
	execTrue := func() error { return command(ctx, sim, "machine", "exec", "--name", name, "--", "true") }
	err := first.time(func() error {
		if err := boot.time(func() error { return command(ctx, sim, "machine", "start", "--name", name) }); err != nil {
			return err
		}
		return execTrue()
	})
	if err != nil {
		return err
	}
	for range execsPerBoot {
		if err := one.time(execTrue); err != nil {
			return err
		}
	}
	*memory = append(*memory, pss(slices.DeleteFunc(processes(sim), func(pid int) bool { return slices.Contains(before, pid) })))
	return nil
}

func command(ctx context.Context, argv ...string) error {
	out, err := exec.CommandContext(ctx, argv[0], argv[1:]...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w\n%s", strings.Join(argv, " "), err, out)
	}
	return nil
}

// processes are the pids that run the binary at path.
func processes(path string) []int {
	var pids []int
	links, _ := filepath.Glob("/proc/[0-9]*/exe")
	for _, link := range links {
		if target, err := os.Readlink(link); err == nil && target == path {
			pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(link)))
			pids = append(pids, pid)
		}
	}
	return pids
}

// pss is the proportional set size of pids together, in MB: what is shared between them counts once.
func pss(pids []int) float64 {
	var kib float64
	for _, pid := range pids {
		f, err := os.Open(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
		if err != nil {
			continue
		}
		for sc := bufio.NewScanner(f); sc.Scan(); {
			if rest, ok := strings.CutPrefix(sc.Text(), "Pss:"); ok {
				n, _ := strconv.ParseFloat(strings.Fields(rest)[0], 64)
				kib += n
			}
		}
		_ = f.Close()
	}
	return kib / 1000
}
