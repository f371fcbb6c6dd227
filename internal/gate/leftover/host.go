package leftover

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"bottle.internal/internal/gate/proc"
)

// machines looks where the engines and the fixture keep what they know, and asks an installed smolvm.
func machines(ctx context.Context, s Snapshot) error {
	for _, d := range machineDirs() {
		entries, err := os.ReadDir(d.path)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		for _, e := range entries {
			if !strings.HasSuffix(e.Name(), ".lock") {
				s["machine "+filepath.Join(d.path, e.Name())] = thing{d.kind, filepath.Join(d.path, e.Name()), true}
			}
		}
	}
	return installedMachines(ctx, s)
}

type machineDir struct{ kind, path string }

func machineDirs() []machineDir {
	var dirs []machineDir
	if cache, err := os.UserCacheDir(); err == nil {
		dirs = append(dirs, machineDir{"record of a bottle", filepath.Join(cache, "bottle", "bottles")})
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return dirs
	}
	data, cache := os.Getenv("XDG_DATA_HOME"), os.Getenv("XDG_CACHE_HOME")
	if data == "" {
		data = filepath.Join(home, ".local", "share")
	}
	if cache == "" {
		cache = filepath.Join(home, ".cache")
	}
	return append(dirs, machineDir{"simulated machine", filepath.Join(data, "smolvm-sim", "machines")},
		machineDir{"directory of a simulated machine", filepath.Join(cache, "smolvm-sim", "vms")})
}

func installedMachines(ctx context.Context, s Snapshot) error {
	path := os.Getenv("BOTTLE_SMOLVM")
	if path == "" {
		path = "smolvm"
	}
	if _, err := exec.LookPath(path); err != nil {
		return nil
	}
	out, err := proc.Output(ctx, "", nil, path, "machine", "ls")
	if err != nil {
		return err
	}
	for line := range strings.Lines(out) {
		if f := strings.Fields(line); len(f) > 0 && strings.HasPrefix(f[0], "bottle-") {
			s["machine "+f[0]] = thing{"machine", f[0], true}
		}
	}
	return nil
}

// processes lists those of every user that can be seen, by pid and start.
func processes(ctx context.Context, s Snapshot) error {
	if _, err := os.Stat("/proc/self/stat"); err != nil {
		return psProcesses(ctx, s)
	}
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return err
	}
	for _, stat := range stats {
		text, err := os.ReadFile(stat)
		if err != nil {
			continue // it has ended meanwhile
		}
		dir := filepath.Dir(stat)
		exe, _ := os.Readlink(filepath.Join(dir, "exe"))
		cmdline, _ := os.ReadFile(filepath.Join(dir, "cmdline"))
		s.process(filepath.Base(dir), startOf(text), strings.TrimSuffix(exe, " (deleted)"), argv0(cmdline))
	}
	return nil
}

// startOf is field 22 of proc(5)'s stat, counted from behind the command's name; "" for a zombie, which has ended.
func startOf(stat []byte) string {
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	if len(fields) < 20 || fields[0] == "Z" || fields[0] == "X" {
		return ""
	}
	return fields[19]
}

func argv0(cmdline []byte) string {
	first, _, _ := bytes.Cut(cmdline, []byte{0})
	return string(first)
}

// process adds one that is this project's by its executable or by the name it was started under. The others come and go on any
// machine and mean nothing.
func (s Snapshot) process(pid, start, exe, argv0 string) {
	if start == "" {
		return
	}
	for _, path := range []string{exe, argv0} {
		base := filepath.Base(path)
		if strings.HasPrefix(base, "smolvm") || strings.HasPrefix(base, "bottle-") {
			s["process "+pid+" "+start] = thing{"process", fmt.Sprintf("%s (pid %s)", base, pid), true}
			return
		}
	}
}

func psProcesses(ctx context.Context, s Snapshot) error {
	out, err := proc.Output(ctx, "", nil, "ps", "-axo", "pid=,comm=")
	if err != nil {
		return err
	}
	for line := range strings.Lines(out) {
		if pid, comm, ok := strings.Cut(strings.TrimSpace(line), " "); ok {
			s.process(pid, "?", strings.TrimSpace(comm), "")
		}
	}
	return nil
}

// mounts lists this process's mount namespace. Whose a mount is cannot be seen but by its path; a container's own are docker's
// and go with it.
func mounts(_ context.Context, s Snapshot) error {
	f, err := os.Open("/proc/self/mountinfo")
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		field := strings.Fields(lines.Text())
		if len(field) < 5 {
			return fmt.Errorf("/proc/self/mountinfo has a line %q", lines.Text())
		}
		path := field[4]
		ours := strings.Contains(path, "smolvm-sim") || strings.Contains(path, "bottle")
		s["mount "+field[0]+" "+path] = thing{"mount", path, ours}
	}
	return lines.Err()
}
