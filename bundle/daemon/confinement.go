package daemon

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"bottle.internal/bundle/internal/wire"
)

// engineSockets are where the socket of a container engine is found.
var engineSockets = []string{
	"/var/run/docker.sock", "/run/docker.sock", "/run/podman/podman.sock", "/run/containerd/containerd.sock", "/run/crio/crio.sock",
}

// printConfinement is `bottle-bundle confinement`: what keeps PID 1 in, as its kernel has it.
func printConfinement(args []string, stdout io.Writer) error {
	if err := noArgs(newFlags("confinement"), args); err != nil {
		return err
	}
	c, err := confinement(procfs)
	if err != nil {
		return fmt.Errorf("confinement: %w", err)
	}
	return json.NewEncoder(stdout).Encode(c)
}

// confinement reads what a proc filesystem says of PID 1.
func confinement(proc string) (wire.Confinement, error) {
	c := wire.Confinement{UID: -1}
	status, err := os.ReadFile(filepath.Join(proc, "1", "status"))
	if err != nil {
		return c, err
	}
	for line := range strings.Lines(string(status)) {
		name, rest, _ := strings.Cut(line, ":")
		words := strings.Fields(rest)
		if len(words) == 0 {
			continue
		}
		switch name {
		case "Uid":
			c.UID, err = strconv.Atoi(words[min(1, len(words)-1)]) // the effective one
		case "CapPrm", "CapEff", "CapBnd", "CapAmb":
			var mask uint64
			mask, err = strconv.ParseUint(words[0], 16, 64)
			c.Capabilities |= mask
		case "NoNewPrivs":
			c.NoNewPrivileges = words[0] == "1"
		case "Seccomp":
			c.Seccomp, err = strconv.Atoi(words[0])
		}
		if err != nil {
			return c, fmt.Errorf("%s of PID 1: %w", name, err)
		}
	}
	if c.ReadOnlyRoot, err = readOnlyRoot(filepath.Join(proc, "1", "mountinfo")); err != nil {
		return c, err
	}
	for _, path := range engineSockets {
		if _, err := os.Stat(path); err == nil {
			c.Sockets = append(c.Sockets, path)
		}
	}
	return c, nil
}

// readOnlyRoot reads the options of the last mount at "/": the one that is seen.
func readOnlyRoot(path string) (bool, error) {
	f, err := os.Open(path)
	if err != nil {
		return false, err
	}
	defer func() { _ = f.Close() }()
	found, readOnly := false, false
	sc := bufio.NewScanner(f)
	for sc.Scan() {
		if words := strings.Fields(sc.Text()); len(words) > 5 && words[4] == "/" {
			found = true
			readOnly = strings.HasPrefix(words[5]+",", "ro,")
		}
	}
	if err := sc.Err(); err != nil {
		return false, err
	}
	if !found {
		return false, fmt.Errorf("%s: nothing is mounted at /", path)
	}
	return readOnly, nil
}
