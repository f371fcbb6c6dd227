package smolvm

import (
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strconv"
	"time"

	"bottle.internal/smolvm/internal/wrapper"
)

// The builders below are pure: what they return is the command line after the program. --name is always spelled in full, for exec
// has no -n.

func versionArgs() []string { return []string{"--version"} }

func createArgs(v Version, name string, o CreateOptions) []string {
	argv := []string{"machine", "create"}
	if v.has(nameFlag) {
		argv = append(argv, "--name", name)
	}
	if o.Image != "" {
		argv = append(argv, "--image", o.Image)
	}
	if o.From != "" {
		argv = append(argv, "--from", o.From)
	}
	argv = append(argv, sizeArgs(o.CPUs, o.MemoryMiB)...)
	argv = append(argv, networkArgs(o.Network)...)
	argv = append(argv, attachArgs(o)...)
	argv = append(argv, guestArgs(o.Workdir, o.Env)...)
	for _, k := range slices.Sorted(maps.Keys(o.Labels)) {
		argv = append(argv, "--label", k+"="+o.Labels[k])
	}
	if !v.has(nameFlag) {
		argv = append(argv, name)
	}
	return argv
}

func networkArgs(n Network) []string {
	var argv []string
	if n.on() {
		argv = append(argv, "--net")
	}
	if n.Backend != "" {
		argv = append(argv, "--net-backend", string(n.Backend))
	}
	argv = append(argv, manyArgs("--allow-cidr", n.AllowCIDRs)...)
	argv = append(argv, manyArgs("--allow-host", n.AllowHosts)...)
	if n.LoopbackOnly {
		argv = append(argv, "--outbound-localhost-only")
	}
	return argv
}

func attachArgs(o CreateOptions) []string {
	return slices.Concat(manyArgs("-v", o.Volumes), manyArgs("-p", o.Ports), manyArgs("--init", o.Init))
}

func guestArgs(dir string, env []string) []string {
	var argv []string
	if dir != "" {
		argv = append(argv, "-w", dir)
	}
	for _, kv := range env {
		argv = append(argv, "-e", kv)
	}
	return argv
}

func startArgs(name string) []string { return []string{"machine", "start", "--name", name} }

func stopArgs(name string) []string { return []string{"machine", "stop", "--name", name} }

// deleteArgs has -f always: without it smolvm asks, takes the end of stdin for a no, deletes nothing and exits 0.
func deleteArgs(v Version, name string) []string {
	if v.has(nameFlag) {
		return []string{"machine", "delete", "--name", name, "-f"}
	}
	return []string{"machine", "delete", "-f", name}
}

func statusArgs(name string) []string {
	return []string{"machine", "status", "--name", name, "--json"}
}

func listArgs() []string { return []string{"machine", "ls", "--json"} }

// execArgs has --stream always: it is live, has no cap where the default mode cuts off at 11 MiB (without a word in 0.8.x), and
// honours --timeout in every release where the default mode of 1.4.1 to 1.6.13 does not.
func execArgs(name, nonce string, cmd Command) []string {
	argv := []string{"machine", "exec", "--name", name, "--stream"}
	argv = append(argv, guestArgs(cmd.Dir, cmd.Env)...)
	if cmd.Timeout > 0 {
		argv = append(argv, "--timeout", humantime(cmd.Timeout))
	}
	argv = append(argv, "--")
	return append(argv, wrapper.By(cmd.Waiter, nonce, cmd.Argv)...)
}

// interactiveArgs needs no --stream: -i is as live, and honours --timeout in every release.
func interactiveArgs(name string, cmd Command, tty bool, argv []string) []string {
	out := []string{"machine", "exec", "--name", name, "-i"}
	if tty {
		out = append(out, "-t")
	}
	out = append(out, guestArgs(cmd.Dir, cmd.Env)...)
	if cmd.Timeout > 0 {
		out = append(out, "--timeout", humantime(cmd.Timeout))
	}
	return append(append(out, "--"), argv...)
}

// detachArgs is for the releases with -d: it has no stream to follow and no report to wait for.
func detachArgs(name string, cmd Command) []string {
	argv := append([]string{"machine", "exec", "--name", name, "-d"}, guestArgs(cmd.Dir, cmd.Env)...)
	return append(append(argv, "--"), cmd.Argv...)
}

// packCreateArgs writes to the stub's name: with the pack's own suffix 1.7.0 (#691) refuses.
func packCreateArgs(o PackOptions) []string {
	argv := []string{"pack", "create"}
	if o.Image != "" {
		argv = append(argv, "--image", o.Image)
	}
	if o.FromMachine != "" {
		argv = append(argv, "--from-vm", o.FromMachine)
	}
	argv = append(argv, sizeArgs(o.CPUs, o.MemoryMiB)...)
	if o.Platform != "" {
		argv = append(argv, "--oci-platform", o.Platform)
	}
	return append(argv, "-o", o.Output)
}

func sizeArgs(cpus, memoryMiB int) []string {
	return append(numberArgs("--cpus", cpus), numberArgs("--mem", memoryMiB)...)
}

// numberArgs is flag with n, nothing for 0.
func numberArgs(flag string, n int) []string {
	if n == 0 {
		return nil
	}
	return []string{flag, strconv.Itoa(n)}
}

// copyToArgs takes a host path without a colon: smolvm reads NAME:path into any argument that has one.
func copyToArgs(v Version, name, hostPath, guestPath string, mode fs.FileMode) []string {
	argv := []string{"machine", "cp"}
	if v.has(copyMode) {
		argv = append(argv, "--mode", octal(mode))
	}
	return append(argv, hostPath, name+":"+guestPath)
}

func copyFromArgs(name, guestPath, hostPath string) []string {
	return []string{"machine", "cp", name + ":" + guestPath, hostPath}
}

func octal(mode fs.FileMode) string { return fmt.Sprintf("%03o", mode.Perm()) }

// humantime is d as smolvm reads durations, rounded up to a millisecond; a bare number and "0s" are refused there.
func humantime(d time.Duration) string {
	ms := d.Milliseconds()
	if d%time.Millisecond > 0 {
		ms++
	}
	if ms%1000 == 0 {
		return strconv.FormatInt(ms/1000, 10) + "s"
	}
	return strconv.FormatInt(ms, 10) + "ms"
}
