package target

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"path/filepath"

	"bottle.internal/internal/control"
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

// control finds the positive control of a run, and returns what ends it.
func (s *Sandbox) control(ctx context.Context, opts probes.Options) (done func(), err error) {
	search := control.Search{
		Site: s.site, Options: opts, Addrs: s.opts.Allowed, Passing: s.opts.Passing, OneByOne: s.way.weak, Logf: s.opts.logf,
	}
	found, done, err := search.Find(ctx)
	if err != nil {
		done()
		return nil, err
	}
	s.site.Borrowed = s.witness.network()
	s.site.Allowed, s.site.NoNetwork = found, nil
	if !found.Addr.IsValid() {
		s.opts.logf("without a network this host's kernel has to see it so")
		s.site.NoNetwork = s.witness.testify
	}
	return done, nil
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
