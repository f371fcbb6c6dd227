package bottletest

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/testcontainers/testcontainers-go"

	"bottle.internal/bundle"
	"bottle.internal/internal/echo"
	"bottle.internal/internal/gobuild"
	"bottle.internal/smolvm"
)

// The bundle's files in its machine.
const (
	bundleProgram  = agentDir + "/bottle-bundle"
	bundleSettings = agentDir + "/bundle.settings"
	bundleLog      = agentDir + "/bundle.log"
)

// machineSidecar runs the bundle in a second machine of the guest's engine: a bare one that publishes ports, with the static
// program of the bundle's image copied in and its supervisor started beside the machine's own init.
type machineSidecar struct {
	cfg    Config
	secret echo.Secret

	engine  *guestEngine
	plan    Plan
	program string // bottle-bundle for the machine's platform, on this host
	name    string
	remote  *bundle.Remote
}

// bundleMachine is what the machine of the bundle of the guest called machine is called.
func bundleMachine(machine string) string { return machine + "-bundle" }

// use takes the guest's engine, but for what breaks the guest on purpose: a bottle broken on one side needs the other sound, or
// what turns red is not what was broken.
func (s *machineSidecar) use(e *guestEngine) {
	s.engine = &guestEngine{kind: e.kind, version: e.version, client: &smolvm.Client{Path: e.client.Path, Env: withoutFaults(e.client.Env), Logf: e.client.Logf}}
}

const (
	faultsVariable = "SMOLVM_SIM_FAULTS"
	// publishFaults begin the names of the simulator's faults that are about a machine which publishes ports: the bundle's.
	publishFaults = "publish-"
)

// withoutFaults is env with those faults only that are about the bundle.
func withoutFaults(env []string) []string {
	var out []string
	for _, kv := range env {
		list, ok := strings.CutPrefix(kv, faultsVariable+"=")
		if !ok {
			out = append(out, kv)
			continue
		}
		kept := slices.DeleteFunc(strings.Split(list, ","), func(f string) bool { return !strings.HasPrefix(f, publishFaults) })
		if len(kept) > 0 {
			out = append(out, faultsVariable+"="+strings.Join(kept, ","))
		}
	}
	return out
}

func (s *machineSidecar) prepare(ctx context.Context) (err error) {
	s.program, err = gobuild.Binary(ctx, gobuild.Target{Command: "bottle-bundle", GOOS: "linux"})
	return err
}

// planNetwork plans none, and none is made: the machine's is smolvm's own.
func (s *machineSidecar) planNetwork(context.Context, string, map[string]string, []netip.Prefix) (netip.Prefix, error) {
	return netip.Prefix{}, nil
}

func (s *machineSidecar) createNetwork(context.Context) error { return nil }

func (s *machineSidecar) removeNetwork(context.Context) error { return nil }

func (s *machineSidecar) leave(context.Context) error { return nil }

func (s *machineSidecar) create(context.Context, Plan, map[string]string) error { return nil }

func (s *machineSidecar) start(ctx context.Context, p Plan, labels map[string]string) error {
	s.name, s.plan = bundleMachine(p.Machine), p
	backend, err := publishBackend(s.engine.version)
	if err != nil {
		return err
	}
	if s.remote, err = s.describeRemote(p, backend); err != nil {
		return err
	}
	if err := s.engine.client.Create(ctx, s.name, s.createOptions(p, labels)); err != nil {
		return err
	}
	return s.boot(ctx, p, backend)
}

// boot starts the machine and the daemons in it.
func (s *machineSidecar) boot(ctx context.Context, p Plan, backend smolvm.Backend) error {
	var at smolvm.StartOptions
	if backend == smolvm.VirtioNet {
		at.PublishAddr = p.Bundle // on tsi the address that a daemon listens on says it
	}
	if err := s.engine.client.StartWith(ctx, s.name, at); err != nil {
		return err
	}
	if err := s.engine.execReady(ctx, s.name); err != nil {
		return err
	}
	if err := s.startDaemons(ctx); err != nil {
		return err
	}
	return s.proveProxy(ctx, p)
}

// proveProxy dials the proxy where the guest will. That it answers inside is known; that it is published is not.
func (s *machineSidecar) proveProxy(ctx context.Context, p Plan) error {
	if !slices.Contains(p.Daemons, "proxy") {
		return nil
	}
	if err := knock(ctx, p.At(proxyPort), s.secret); err != nil {
		return fmt.Errorf("the bundle's proxy is not published at %s: %w", p.At(proxyPort), err)
	}
	return nil
}

// createOptions give the machine a network without a policy: the proxy in it is what dials out for the guest.
func (s *machineSidecar) createOptions(p Plan, labels map[string]string) smolvm.CreateOptions {
	o := smolvm.CreateOptions{Network: smolvm.Network{Enabled: true}}
	for _, port := range slices.Sorted(maps.Keys(p.Ports)) {
		o.Ports = append(o.Ports, smolvm.Port{Host: p.At(port).Port(), Guest: p.ListensOn(port)})
	}
	if s.engine.version.AtLeast(1, 8, 0) {
		o.Labels = labels
	}
	return o
}

// describeRemote says where the daemons listen. On virtio-net those open to the network are open to the machine's, which nobody
// but the relay of the published ports can reach. On tsi the host binds what the guest chooses, and 0.0.0.0 would be every
// address of the host (libkrun tsi_stream.rs try_listen): there they listen on the alias, under the host's number.
func (s *machineSidecar) describeRemote(p Plan, backend smolvm.Backend) (*bundle.Remote, error) {
	opts := []testcontainers.ContainerCustomizer{
		bundle.WithDaemons(p.Daemons...), bundle.WithProxyAllow(s.cfg.ProxyAllow...), bundle.WithSecret(s.secret),
	}
	open := func(port uint16) netip.AddrPort { return netip.AddrPortFrom(netip.IPv4Unspecified(), port) }
	if backend == smolvm.TSI {
		open = p.inside
	}
	return bundle.NewRemote(s.place(), canaryPort, open, append(opts, s.cfg.BundleOptions...)...)
}

// startDaemons brings the program and its settings in and starts the supervisor. It returns when every daemon answered.
func (s *machineSidecar) startDaemons(ctx context.Context) error {
	client := s.engine.client
	if err := client.CopyTo(ctx, s.name, s.program, bundleProgram, 0o755); err != nil {
		return err
	}
	settings, err := os.CreateTemp("", "bottle-settings-") // 0600: it holds the secret
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(settings.Name()) }()
	_, err = settings.Write(s.remote.Settings())
	if err = errors.Join(err, settings.Close()); err != nil {
		return err
	}
	if err := client.CopyTo(ctx, s.name, settings.Name(), bundleSettings, 0o600); err != nil {
		return err
	}
	_, err = s.exec(ctx, bundleProgram, "start", "--settings", bundleSettings, "--log", bundleLog)
	return err
}

// place is how the daemons are asked.
func (s *machineSidecar) place() bundle.Place {
	return bundle.Place{Program: bundleProgram, Exec: s.exec, Log: s.logs}
}

func (s *machineSidecar) exec(ctx context.Context, argv ...string) ([]byte, error) {
	res, err := s.engine.client.Exec(ctx, s.name, smolvm.Command{Argv: argv, Timeout: agentLimit})
	if err == nil && res.ExitCode != 0 {
		err = fmt.Errorf("in the bundle's machine: %s exits %d: %.1000s", argv[:min(2, len(argv))], res.ExitCode, res.Stderr)
	}
	return res.Stdout, err
}

// attach finds the bundle of the guest called machine, which runs.
func (s *machineSidecar) attach(ctx context.Context, machine string) error {
	s.name = bundleMachine(machine)
	text, err := s.file(ctx, bundleSettings)
	if err != nil {
		return err
	}
	if s.remote, err = bundle.RecallRemote(s.place(), text); err != nil {
		return err
	}
	s.secret = s.remote.Secret()
	return nil
}

// remove ends the machine, whatever state its creation was cut off in.
func (s *machineSidecar) remove(ctx context.Context) error {
	if s.name == "" {
		return nil
	}
	return errors.Join(s.engine.client.Stop(ctx, s.name), s.engine.client.Delete(ctx, s.name))
}

func (s *machineSidecar) canary(context.Context) (bundleCanary, error) {
	return machineCanary{s.remote}, nil
}

func (s *machineSidecar) echo(ctx context.Context, addr netip.AddrPort, n echo.Nonce) (echo.Reply, error) {
	return s.remote.Echo(ctx, addr, n)
}

// sightings are the daemons'; what the canary saw is asked of the canary.
func (s *machineSidecar) sightings(ctx context.Context) ([]echo.Sighting, error) {
	all, err := s.remote.Sightings(ctx)
	return slices.DeleteFunc(all, isCanarys), err
}

func isCanarys(s echo.Sighting) bool { return s.Name == bundle.CanaryName }

func (s *machineSidecar) listeners(ctx context.Context) ([]bundle.Listener, error) {
	return s.remote.Listeners(ctx)
}

// logs is the supervisor's log. None is there before it was started.
func (s *machineSidecar) logs(ctx context.Context) ([]byte, error) {
	if s.engine == nil || s.remote == nil {
		return nil, nil
	}
	return s.file(ctx, bundleLog)
}

// file reads a file of the machine's.
func (s *machineSidecar) file(ctx context.Context, path string) ([]byte, error) {
	dir, err := os.MkdirTemp("", "bottle-file-")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	to := filepath.Join(dir, "file")
	if err := s.engine.client.CopyFrom(ctx, s.name, path, to); err != nil {
		return nil, err
	}
	b, err := os.ReadFile(to)
	if errors.Is(err, fs.ErrNotExist) {
		err = fmt.Errorf("reading %s of machine %q: %w", path, s.name, err)
	}
	return b, err
}

func (s *machineSidecar) describe() string {
	if s.engine == nil {
		return "machine"
	}
	return "machine, smolvm " + s.engine.version.String()
}

// A machineCanary is the one that the bundle's supervisor keeps.
type machineCanary struct{ remote *bundle.Remote }

func (c machineCanary) Sightings(ctx context.Context) ([]echo.Sighting, error) {
	all, err := c.remote.Sightings(ctx)
	return slices.DeleteFunc(all, func(s echo.Sighting) bool { return !isCanarys(s) }), err
}

// Close ends nothing: the canary is the bundle's.
func (c machineCanary) Close() error { return nil }
