package daemon

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"

	"bottle.internal/bundle/internal/wire"
	"bottle.internal/internal/procnet"
)

const procfs = "/proc"

// printListeners is `bottle-bundle listeners [-o table|json]`.
func printListeners(args []string, stdout io.Writer) error {
	flags := newFlags("listeners")
	format := flags.String("o", "table", "table or json")
	if err := noArgs(flags, args); err != nil {
		return err
	}
	if *format != "table" && *format != "json" {
		return usagef("listeners: unknown format %q (known: table, json)", *format)
	}
	ls, err := listeners()
	if err != nil {
		return fmt.Errorf("listeners: %w", err)
	}
	if *format == "json" {
		return json.NewEncoder(stdout).Encode(ls)
	}
	w := tabwriter.NewWriter(stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "NETWORK\tADDRESS\tPID\tCOMMAND")
	for _, l := range ls {
		fmt.Fprintf(w, "%s\t%s\t%d\t%s\n", l.Network, l.Addr, l.PID, l.Command)
	}
	return w.Flush()
}

// listeners reads what listens in this process' network namespace.
func listeners() ([]wire.Listener, error) {
	out := []wire.Listener{} // prints as [] rather than null
	held := holders()
	for _, network := range []string{"tcp", "tcp6", "udp", "udp6"} {
		f, err := os.Open(filepath.Join(procfs, "net", network))
		if errors.Is(err, os.ErrNotExist) && strings.HasSuffix(network, "6") {
			continue // a kernel without IPv6
		}
		if err != nil {
			return nil, err
		}
		socks, err := procnet.Parse(f, network)
		_ = f.Close()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", f.Name(), err)
		}
		for _, s := range socks {
			h := held[s.Inode]
			out = append(out, wire.Listener{Network: network, Addr: s.Addr, PID: h.pid, Command: h.command})
		}
	}
	return out, nil
}

type holder struct {
	pid     int
	command string
}

// holders maps socket inodes to the processes that hold them, as far as this process may see.
func holders() map[string]holder {
	out := map[string]holder{}
	dirs, _ := filepath.Glob(filepath.Join(procfs, "[0-9]*"))
	for _, dir := range dirs {
		pid, err := strconv.Atoi(filepath.Base(dir))
		if err != nil {
			continue
		}
		fds, _ := filepath.Glob(filepath.Join(dir, "fd", "*"))
		for _, fd := range fds {
			to, err := os.Readlink(fd)
			if inode, ok := strings.CutPrefix(to, "socket:["); ok && err == nil {
				out[strings.TrimSuffix(inode, "]")] = holder{pid, commandOf(dir)}
			}
		}
	}
	return out
}

// commandOf is the program's base name, with the arguments where the program is bottle-bundle: they tell its daemons apart.
func commandOf(dir string) string {
	b, _ := os.ReadFile(filepath.Join(dir, "cmdline"))
	argv := slices.DeleteFunc(bytes.Split(b, []byte{0}), func(a []byte) bool { return len(a) == 0 })
	if len(argv) == 0 {
		c, _ := os.ReadFile(filepath.Join(dir, "comm"))
		return strings.TrimSpace(string(c))
	}
	name := filepath.Base(string(argv[0]))
	if name == "bottle-bundle" && len(argv) > 1 {
		return name + " " + string(bytes.Join(argv[1:], []byte(" ")))
	}
	return name
}
