package bottletest

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"time"

	"github.com/testcontainers/testcontainers-go"

	"bottle.internal/bottletest/internal/images"
	"bottle.internal/bundle"
)

// An Engine is an implementation of the smolvm command line.
type Engine string

const (
	// Smolvm is the real one: a micro-VM. It is the default.
	Smolvm Engine = "smolvm"
	// Simulator is smolvm-sim: namespaces on a shared kernel, for developing and testing where no VM can run. It is not a
	// security boundary, and it is never chosen unless it is named.
	Simulator Engine = "sim"
)

// A Config says what to launch. The zero Config boots: a bare guest, the default bundle with no daemons, and an allowlist of
// the bundle's address and nothing else.
type Config struct {
	// Name is the prefix of the bottle's slug: lower-case letters, digits and single hyphens, at most 24 bytes. "" is "test".
	Name string

	// Engine is which smolvm runs the guest. "" is $BOTTLE_ENGINE, and without that the real one.
	Engine Engine
	// Smolvm is the path of the real smolvm. "" is $BOTTLE_SMOLVM, and without that "smolvm" on PATH. The simulator ignores it.
	Smolvm string
	// Sim is read by the simulator only.
	Sim SimConfig

	// Image is what the guest boots. "" is a bare guest: smolvm's own userland. Otherwise a registry reference ("alpine:3.20"), or a
	// path: of a .smolmachine, of an archive that docker save or an OCI tool wrote (.tar, .tar.gz, .tgz), or of a root filesystem's
	// directory (smolvm 1.1.0 or later). Paths begin with "/", "./", "../" or "~/", or end in one of those suffixes. The launch
	// prepares it as Prepare does. The image must have sh and true, and below 1.9.0 chmod and wc. smolvm drops the policy of a machine made from a pack below
	// 1.8.0; there the client takes another way, and where that fails the launch is refused.
	Image string
	// Offline asks no registry for Image: a reference means the newest pack that the cache has of it.
	Offline bool
	// MemoryMiB and CPUs are the guest's; 0 is smolvm's default.
	MemoryMiB, CPUs int
	// Env is set on every Exec, as KEY=VALUE, after the proxy variables of Plan.GuestEnv.
	Env []string

	// BundleImage is the sidecar's image reference. "" is the default bundle, built from this module and loaded when absent.
	BundleImage string
	// Daemons are the bundle's daemons to start; nil starts none.
	Daemons []string
	// ProxyAllow are the host patterns that the bundle's proxy lets through; nil lets nothing through.
	ProxyAllow []string
	// ProxyOrigin puts two names more on the proxy's list, which the bundle alone takes for something: one leads to this host's end of the
	// bundle's network, at a port where nothing but a canary of a probe run listens, the other to the bundle's own loopback, where the egress
	// hop has to refuse it. They are what the probes need that ask what the proxy allows, and the report has them in its policy. false adds
	// nothing, and those probes are not applicable, as they are in a bundle that is a machine.
	ProxyOrigin bool
	// BundleOptions are applied to the bundle last, so they win. Where the bundle is a machine they must be package bundle's.
	BundleOptions []testcontainers.ContainerCustomizer
	// BundleRuntime is what runs the bundle. "" is $BOTTLE_BUNDLE_RUNTIME, and without that a container where a container engine
	// answers and a machine where none does.
	BundleRuntime BundleRuntime
	// Topology is how the guest reaches the bundle. "" is $BOTTLE_TOPOLOGY, and without that Bridge unless this host was seen not
	// to reach a container at its own address; a bundle that is a machine is always reached by Alias.
	Topology Topology
	// Publish are ports of the bundle to be published beside those of its daemons, in topology alias. A port of the bundle's
	// loopback must not be among them: that the guest finds nothing there is what keeps it from the egress daemon, and a bottle
	// broken on purpose names it. In topology bridge every port is in reach without it, and it changes nothing.
	Publish []uint16

	// Twin boots a second guest beside the first, from the same image on the same backend, with no policy: control C3 of every
	// probe. It costs a guest's memory and, since both boot at once, little time.
	Twin bool

	// Agent is the path of the probe agent to copy into the guest. "" is the one of this module, built for the guest's platform.
	Agent string
	// Ungated hands the bottle out although its launch gate did not pass; Bottle.Gate tells. It is for broken bottles that a
	// test wants to examine, and for nothing else.
	Ungated bool
	// Rewrite edits the arguments of every smolvm call before it runs; nil leaves them. It breaks a bottle on purpose, so it needs
	// Ungated: the launch believes in the policy that it asked for.
	Rewrite func(args []string) []string
	// Keep leaves everything standing at the end, and says how to remove it.
	Keep bool

	// Artifacts is the directory below which a failed test leaves a directory of evidence. "" is $BOTTLE_ARTIFACTS, and
	// without that "bottle-artifacts" in the system's temporary directory.
	Artifacts string
	// Logf receives one line per step and per process run; nil is silent. Start sets it to the test's own log if nil.
	Logf func(format string, args ...any)
}

// SimConfig sets the simulator's knobs. The zero SimConfig is the newest personality without faults.
type SimConfig struct {
	// Version is the smolvm release to imitate. "" is $SMOLVM_SIM_VERSION, and without that the newest.
	Version string
	// Faults break the machine on purpose. nil is $SMOLVM_SIM_FAULTS, a comma list, and without that breaks nothing.
	Faults []string
}

const (
	// launchTimeout bounds a launch whose context has no deadline. smolvm's own limit for a boot is 30 s, fixed.
	launchTimeout = 3 * time.Minute
	// teardownTimeout bounds everything that undoes a launch, on a context of its own.
	teardownTimeout = 90 * time.Second
)

var namePattern = regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)*$`)

// check refuses what can be known to be wrong before anything is created.
func (c Config) check() error {
	var errs []error
	if len(c.Name) > 24 || !namePattern.MatchString(c.prefix()) {
		errs = append(errs, fmt.Errorf("field Name %q: want lower-case letters, digits and single hyphens, at most 24 bytes", c.Name))
	}
	if c.Rewrite != nil && !c.Ungated {
		errs = append(errs, errors.New("field Rewrite is for a bottle that is broken on purpose: set Ungated with it"))
	}
	if e := c.engine(); e != Smolvm && e != Simulator {
		errs = append(errs, fmt.Errorf("engine %q: want %q or %q (Config.Engine, $BOTTLE_ENGINE)", e, Smolvm, Simulator))
	}
	for _, d := range c.Daemons {
		if c.BundleImage == "" && !slices.Contains(bundle.DaemonNames(), d) {
			errs = append(errs, fmt.Errorf("field Daemons: %q is none of the default bundle's: %q", d, bundle.DaemonNames()))
		}
	}
	errs = append(append(errs, c.checkBundle()...), c.checkOrigin())
	if _, err := images.Parse(c.Image); err != nil {
		errs = append(errs, fmt.Errorf("field Image: %w", err))
	}
	if c.Agent != "" {
		if _, err := os.Stat(c.Agent); err != nil {
			errs = append(errs, fmt.Errorf("field Agent: %w", err))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("%w: %w", ErrConfig, err)
	}
	return nil
}

// publishedPorts are the ports of the bundle that topology alias publishes.
func (c Config) publishedPorts() []uint16 {
	ports := []uint16{canaryPort}
	if slices.Contains(c.Daemons, "proxy") {
		ports = append(ports, proxyPort)
	}
	for _, p := range c.Publish {
		if !slices.Contains(ports, p) {
			ports = append(ports, p)
		}
	}
	return ports
}

func (c Config) prefix() string {
	if c.Name == "" {
		return "test"
	}
	return c.Name
}

func (c Config) engine() Engine {
	if c.Engine != "" {
		return c.Engine
	}
	if e := os.Getenv("BOTTLE_ENGINE"); e != "" {
		return Engine(e)
	}
	return Smolvm
}

func (c Config) artifacts() string {
	if c.Artifacts != "" {
		return c.Artifacts
	}
	if d := os.Getenv("BOTTLE_ARTIFACTS"); d != "" {
		return d
	}
	return filepath.Join(os.TempDir(), "bottle-artifacts")
}

func (c Config) logf(format string, args ...any) {
	if c.Logf != nil {
		c.Logf(format, args...)
	}
}
