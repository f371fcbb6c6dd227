package target

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"time"

	"bottle.internal/internal/echo"
	"bottle.internal/internal/gobuild"
	"bottle.internal/probes"
)

// Options say what is known of a sandbox. The zero Options know nothing.
type Options struct {
	// Allowed are addresses of this host that the sandbox may dial. The first that it reaches is the positive control. nil has every address
	// of this host tried.
	Allowed []netip.Addr
	// Passing are addresses of this host that come and go: no canary of ours is put on them.
	Passing []netip.Addr
	// Logf is told each step and each process that is run; nil tells nobody.
	Logf func(format string, args ...any)
}

func (o Options) logf(format string, args ...any) {
	if o.Logf != nil {
		o.Logf(format, args...)
	}
}

// A Sandbox is one in which the agent runs. It is closed when it is not needed any more.
type Sandbox struct {
	site    probes.Site
	opts    Options
	way     way
	witness *witness
	mark    string // in the name of every file of ours
	undo    []func(context.Context) error
}

// newSandbox has what every sandbox needs: a mark, by which this host and a person know what is ours.
func newSandbox(opts Options, engine, version, topology string) *Sandbox {
	s := &Sandbox{opts: opts, mark: ".bottle-" + string(echo.NewNonce())[:16]}
	s.witness = &witness{mark: s.mark, seen: make(map[string]string), bad: make(map[string]string)}
	s.site = probes.Site{Engine: engine, Version: version, Topology: topology, Passing: opts.Passing, Declared: probes.Declared{Boundary: probes.Container}}
	return s
}

// enter finds a way in. What was made on the way there is undone if there is none.
func (s *Sandbox) enter(ctx context.Context, ways []way) (*Sandbox, error) {
	for i := range ways {
		ways[i].run = s.watched(ways[i].run)
	}
	var err error
	if s.way, err = settle(ctx, ways, s.opts.logf); err != nil {
		return nil, errors.Join(err, s.Close(context.WithoutCancel(ctx)))
	}
	s.site.Run = s.way.run
	return s, nil
}

// watched is run with this host's kernel looking on.
func (s *Sandbox) watched(run probes.RunFunc) probes.RunFunc {
	return func(ctx context.Context, request []byte) (out []byte, err error) {
		s.witness.watch(func() { out, err = run(ctx, request) })
		return out, err
	}
}

// Way says how the agent runs in the sandbox.
func (s *Sandbox) Way() string { return s.way.name }

// Close takes away what is left of the agent in the sandbox and on this host.
func (s *Sandbox) Close(ctx context.Context) error {
	var errs []error
	for len(s.undo) > 0 {
		last := s.undo[len(s.undo)-1]
		s.undo = s.undo[:len(s.undo)-1]
		errs = append(errs, last(ctx))
	}
	return errors.Join(errs...)
}

// Probe runs the probes whose patterns are given, all if none is. Before that it looks for a control: an address of this host that the sandbox
// reaches, or, where it reaches none, that this host sees the sandbox without a network.
func (s *Sandbox) Probe(ctx context.Context, opts probes.Options, patterns ...string) (probes.Report, error) {
	done, err := s.control(ctx, opts)
	if err != nil {
		return probes.Report{}, err
	}
	defer done()
	return probes.Run(ctx, s.site, opts, patterns...)
}

// Dial makes one ad-hoc probe of target, with the controls of Probe.
func (s *Sandbox) Dial(ctx context.Context, opts probes.Options, target probes.Target, expect probes.Expect) (probes.Report, error) {
	done, err := s.control(ctx, opts)
	if err != nil {
		return probes.Report{}, err
	}
	defer done()
	return probes.Dial(ctx, s.site, opts, target, expect)
}

// pathBudget bounds the dials that look for an allowed path.
const pathBudget = time.Second

// control finds the positive control of a run, and returns what ends it.
func (s *Sandbox) control(ctx context.Context, opts probes.Options) (done func(), err error) {
	var canaries []*probes.Canary
	done = func() {
		for _, c := range canaries {
			_ = c.Close()
		}
	}
	defer func() {
		if err != nil {
			done()
		}
	}()
	var targets []probes.Target
	for _, addr := range s.candidates() {
		c, err := probes.NewCanary("control "+addr.String(), netip.AddrPortFrom(addr, 0), opts.Listen)
		if err != nil {
			s.opts.logf("no control at %s: %v", addr, err)
			continue
		}
		canaries, targets = append(canaries, c), append(targets, c.Target())
	}
	opts.Budget = pathBudget
	found, err := s.paths(ctx, opts, targets)
	if err != nil {
		return done, err
	}
	s.site.Borrowed = s.witness.network()
	if len(found) > 0 {
		s.opts.logf("positive control: %s answers the sandbox", found[0].Addr)
		s.site.Allowed = found[0]
		return done, nil
	}
	s.opts.logf("the sandbox reaches no address of this host: without a network this host's kernel has to see it so")
	s.site.Allowed, s.site.NoNetwork = probes.Target{}, s.witness.testify
	return done, nil
}

// paths are those of targets that the sandbox reaches. A shell believes its tools by a batch's first answer: each is a batch of its own then.
func (s *Sandbox) paths(ctx context.Context, opts probes.Options, targets []probes.Target) ([]probes.Target, error) {
	if !s.way.weak {
		return probes.FindPath(ctx, s.site, opts, targets)
	}
	for _, t := range targets {
		if found, err := probes.FindPath(ctx, s.site, opts, []probes.Target{t}); err != nil || len(found) > 0 {
			return found, err
		}
	}
	return nil, nil
}

// candidates are where the sandbox may reach this host: what was named, else every address that a sandbox may have been left. Those of an
// interface to somewhere come first, since they stay; then what sandboxes of this kit put on the loopback's, which may go with them; the
// loopback itself last, since to reach that is the worst.
func (s *Sandbox) candidates() []netip.Addr {
	if s.opts.Allowed != nil {
		return s.opts.Allowed
	}
	interfaces, err := net.Interfaces()
	if err != nil {
		s.opts.logf("this host's interfaces: %v", err)
	}
	var all, onLoopback []netip.Addr
	for _, i := range interfaces {
		if i.Flags&net.FlagUp == 0 {
			continue
		}
		own, err := i.Addrs()
		if err != nil {
			s.opts.logf("the addresses of %s: %v", i.Name, err)
		}
		for _, a := range own {
			p, err := netip.ParsePrefix(a.String())
			switch {
			case err != nil || p.Addr().IsLoopback() || p.Addr().IsLinkLocalUnicast() || slices.Contains(s.opts.Passing, p.Addr()):
			case i.Flags&net.FlagLoopback != 0:
				onLoopback = append(onLoopback, p.Addr())
			default:
				all = append(all, p.Addr())
			}
		}
	}
	return append(append(all, onLoopback...), netip.AddrFrom4([4]byte{127, 0, 0, 1}), netip.IPv6Loopback())
}

// binary is the content of the agent for a Linux of the architecture arch, "" being this host's.
func binary(ctx context.Context, arch string) ([]byte, error) {
	return gobuild.Content(ctx, gobuild.Target{Command: "bottle-agent", GOOS: "linux", GOARCH: arch})
}

// lend makes the agent known on this host under a path with the sandbox's mark, until Close.
func (s *Sandbox) lend(content []byte) (string, error) {
	dir, err := os.MkdirTemp("", "bottle-probe-")
	if err != nil {
		return "", err
	}
	forget := probes.NotePlanted(dir)
	s.undo = append(s.undo, func(context.Context) error {
		defer forget()
		return os.RemoveAll(dir)
	})
	if err := os.Chmod(dir, 0o755); err != nil { // the sandbox's user may be another
		return "", err
	}
	path := filepath.Join(dir, s.mark)
	if err := os.WriteFile(path, content, 0o600); err != nil {
		return "", err
	}
	return path, os.Chmod(path, 0o755)
}
