package killing

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/moby/moby/api/types/container"
	"github.com/testcontainers/testcontainers-go"

	"bottle.internal/bottletest"
	"bottle.internal/bundle"
	"bottle.internal/probes/mutants"
)

// daemons are those of a sound bottle.
var daemons = []string{"proxy", "egress"}

// config is the bottle that e is made of, edited. The argv of the guest's making, as it was and as it became, goes to made.
func (r *runner) config(ctx context.Context, e mutants.Edit, on mutants.Base, made *command) (bottletest.Config, error) {
	c := bottletest.Config{
		Name: "mutant", Engine: bottletest.Simulator, BundleRuntime: bottletest.Container, Topology: bottletest.Topology(on.Topology),
		Daemons: daemons, Twin: on.Twin, Ungated: true, ProxyAllow: e.ProxyAllow, ProxyOrigin: true, Publish: e.Publish, Rewrite: made.rewrite(e),
		Sim: bottletest.SimConfig{Version: on.Version, Faults: e.Faults},
	}
	if e.Pack {
		var err error
		if made.pack, err = r.pack(ctx, on); err != nil {
			return c, err
		}
	}
	if e.Daemons != nil {
		c.Daemons = e.Daemons
	}
	for daemon, at := range e.Listen {
		addr, err := netip.ParseAddrPort(at)
		if err != nil {
			return c, err
		}
		c.BundleOptions = append(c.BundleOptions, bundle.WithListen(daemon, addr))
	}
	if e.Container != "" {
		c.BundleOptions = append(c.BundleOptions, testcontainers.WithHostConfigModifier(containerEdits[e.Container]))
	}
	if len(e.Source) == 0 {
		return c, nil
	}
	program, err := r.mutate(ctx, e.Source)
	c.BundleOptions = append(c.BundleOptions, testcontainers.WithHostConfigModifier(func(h *container.HostConfig) { h.ReadonlyRootfs = false }),
		testcontainers.WithFiles(testcontainers.ContainerFile{HostFilePath: program, ContainerFilePath: "/bottle-bundle", FileMode: 0o755}))
	return c, err
}

// engineSocket is where this host's container engine listens, as far as the mutant is concerned: a path is all that it takes.
const engineSocket = "/var/run/docker.sock"

var containerEdits = map[mutants.ContainerEdit]func(*container.HostConfig){
	mutants.EngineSocket: func(h *container.HostConfig) {
		h.Binds = append(h.Binds, engineSocket+":"+engineSocket)
	},
	mutants.Unconfined: func(h *container.HostConfig) {
		h.CapDrop, h.CapAdd, h.ReadonlyRootfs, h.SecurityOpt = nil, []string{"NET_ADMIN"}, false, []string{"seccomp=unconfined"}
	},
	mutants.LogNowhere: func(h *container.HostConfig) { h.LogConfig = container.LogConfig{Type: "none"} },
	mutants.PublishedEverywhere: func(h *container.HostConfig) {
		for port, at := range h.PortBindings {
			for i := range at {
				at[i].HostIP = netip.IPv4Unspecified()
			}
			h.PortBindings[port] = at
		}
	},
}

// A command is the making of a guest: what the client wrote and what it became.
type command struct {
	pack string // that the guest is made from; "" is none

	mu               sync.Mutex // the twin is made beside the guest
	asked, run, twin []string
}

// rewrite edits the command lines that make the guest and its twin, and remembers them.
func (c *command) rewrite(e mutants.Edit) func([]string) []string {
	return func(args []string) []string {
		if len(args) < 2 || args[0] != "machine" || args[1] != "create" {
			return args
		}
		if slices.ContainsFunc(args, func(a string) bool { return strings.HasSuffix(a, "-peer") }) {
			return args // a sandbox of a probe's
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		if slices.ContainsFunc(args, func(a string) bool { return strings.HasSuffix(a, "-twin") }) {
			c.twin = edited(args, c.asked, e.Args, true)
			return c.twin
		}
		c.asked = slices.Clone(args)
		c.run = edited(args, args, e.Args, false)
		if c.pack != "" {
			c.run = slices.Insert(c.run, 2, "--from", c.pack)
		}
		return c.run
	}
}

// edited is args with the edits of the guest or of its twin. asked is where the placeholders are read.
func edited(args, asked []string, edits []mutants.Arg, twin bool) []string {
	out := slices.Clone(args)
	for _, a := range edits {
		if a.Twin != twin {
			continue
		}
		if a.Drop {
			out = dropped(out, a)
			continue
		}
		add := []string{a.Flag}
		if a.Value != "" {
			add = append(add, filled(a.Value, asked))
		}
		out = slices.Insert(out, 2, add...)
	}
	return out
}

func dropped(args []string, a mutants.Arg) []string {
	for i := slices.Index(args, a.Flag); i >= 0; i = slices.Index(args, a.Flag) {
		end := i + 1
		if a.Value != "" {
			end++
		}
		args = slices.Delete(args, i, end)
	}
	return args
}

// filled puts addresses in the place of the names of value.
func filled(value string, asked []string) string {
	i := slices.Index(asked, "--allow-cidr")
	if !strings.HasPrefix(value, "{") || i < 0 {
		return value
	}
	allowed := netip.MustParsePrefix(asked[i+1]).Addr()
	name, bits, wide := strings.Cut(strings.Trim(value, "{}"), "/")
	addr := map[string]netip.Addr{"allowed": allowed, "gateway": allowed.Prev(), "lan": hostAddress()}[name]
	n := addr.BitLen()
	if wide {
		n, _ = strconv.Atoi(bits)
	}
	return fmt.Sprint(netip.PrefixFrom(addr, n).Masked())
}
