package smolvm

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// An interrupted start can leave the VM's process, which is in a process group of its own and in no record (v0.8.0 process.rs: an
// interrupt is handled only after the guest is ready). From v1.5.0 on stop finds it; before, nobody does.

const (
	abandonLimit = 30 * time.Second // for the look before the stop, for the stop, and for the rest again
	vmTermGrace  = 2 * time.Second  // v0.8.0 client.rs: SIGTERM, 2 s, SIGKILL
	bootCommand  = "_boot-vm"
	pidFile      = "agent.pid"
)

// abandon stops the machine whose start, which began at began, was given up, and sees to it that no process of its VM is left. A VM that ran
// before is left alone. It has time of its own.
func (c *Client) abandon(ctx context.Context, name string, began time.Time) error {
	ctx = context.WithoutCancel(ctx)
	looking, cancel := context.WithTimeout(ctx, abandonLimit)
	dir, dirErr := c.DataDir(looking, name)
	before := dirErr == nil && ranBefore(looking, dir, began)
	cancel()
	if before {
		c.logf("%s: it ran before this start, and runs on", name)
		return nil
	}
	stopping, cancel := context.WithTimeout(ctx, abandonLimit)
	err := c.Stop(stopping, name)
	cancel()
	if dirErr != nil {
		return errors.Join(err, fmt.Errorf("looking for what the start of %q has left: %w", name, dirErr))
	}
	ctx, cancel = context.WithTimeout(ctx, abandonLimit)
	defer cancel()
	left, findErr := bootProcesses(ctx, dir)
	for _, pid := range left {
		c.logf("%s: ending the VM's process %d, which the start has left", name, pid)
		if !end(ctx, pid) {
			err = errors.Join(err, fmt.Errorf("%w: process %d of %q is still alive", ErrState, pid, name))
		}
	}
	return errors.Join(err, findErr)
}

// clockSlack is how much coarser than the clock a file's time may be.
const clockSlack = time.Second

// ranBefore reports whether the only VM in dir is the one in its agent.pid, which every boot writes anew, and was not written since began.
func ranBefore(ctx context.Context, dir string, began time.Time) bool {
	path := filepath.Join(dir, pidFile)
	info, err := os.Stat(path)
	if err != nil || !info.ModTime().Before(began.Add(-clockSlack)) {
		return false
	}
	pid, err := recordedPID(path)
	vms, findErr := bootProcesses(ctx, dir)
	return err == nil && findErr == nil && slices.Equal(vms, []int{pid})
}

// bootProcesses lists the processes that boot or run the VM in dir: those that name its boot-config.json, and the one in its agent.pid if
// that is a VM, since a PID alone may be somebody else's by now.
func bootProcesses(ctx context.Context, dir string) ([]int, error) {
	commands, err := processes(ctx)
	if err != nil {
		return nil, fmt.Errorf("looking for a process of the VM in %q: %w", dir, err)
	}
	recorded, err := recordedPID(filepath.Join(dir, pidFile))
	dirs := []string{dir + "/"}
	if real, err := filepath.EvalSymlinks(dir); err == nil {
		dirs = append(dirs, real+"/")
	}
	var found []int
	for pid, command := range commands {
		ours := pid == recorded || slices.ContainsFunc(dirs, func(d string) bool { return strings.Contains(command, d) })
		if ours && strings.Contains(command, bootCommand) {
			found = append(found, pid)
		}
	}
	slices.Sort(found)
	return found, err
}

// recordedPID reads the number that agent.pid begins with; 0 when there is no such file, or nothing to read in it.
func recordedPID(path string) (int, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	return leadingPID(text), err
}

func leadingPID(text []byte) int {
	text = bytes.TrimLeft(text, " \t\r\n")
	n := 0
	for n < len(text) && '0' <= text[n] && text[n] <= '9' {
		n++
	}
	pid, err := strconv.ParseInt(string(text[:n]), 10, 32)
	if err != nil || pid <= 1 {
		return 0
	}
	return int(pid)
}

// processes maps the PIDs of all processes to their command lines.
func processes(ctx context.Context) (map[int]string, error) {
	if all := procfs(); len(all) > 0 {
		return all, nil
	}
	out, err := exec.CommandContext(ctx, "ps", "-axww", "-o", "pid=,command=").Output()
	if err != nil {
		return nil, err
	}
	return parseProcesses(out), nil
}

// procfs reads Linux's /proc; empty elsewhere.
func procfs() map[int]string {
	paths, _ := filepath.Glob("/proc/[0-9]*/cmdline") // the pattern is a good one
	all := map[int]string{}
	for _, path := range paths {
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		text, readErr := os.ReadFile(path)
		if err == nil && readErr == nil { // else it ended meanwhile
			all[pid] = string(bytes.ReplaceAll(text, []byte{0}, []byte{' '}))
		}
	}
	return all
}

func parseProcesses(text []byte) map[int]string {
	all := map[int]string{}
	for line := range strings.Lines(string(text)) {
		pid, command, _ := strings.Cut(strings.TrimSpace(line), " ")
		if n, err := strconv.Atoi(pid); err == nil {
			all[n] = strings.TrimSpace(command)
		}
	}
	return all
}

// end reports whether pid is gone after a SIGTERM, vmTermGrace and a SIGKILL.
func end(ctx context.Context, pid int) bool {
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL} {
		_ = syscall.Kill(pid, sig) // gone already is what is wanted
		for until := time.Now().Add(vmTermGrace); time.Now().Before(until); {
			if !alive(pid) {
				return true
			}
			if !pauseFor(ctx, 5*time.Millisecond) {
				return !alive(pid)
			}
		}
	}
	return !alive(pid)
}

// alive reports whether pid runs. One that nobody has waited for does not: its command line is empty.
func alive(pid int) bool {
	if errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
		return false
	}
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	return err != nil || len(text) > 0
}
