package bottletest

import (
	"fmt"
	"os"
	"slices"

	"github.com/testcontainers/testcontainers-go"

	"bottle.internal/bundle"
	"bottle.internal/smolvm"
)

// A Topology is how the guest reaches its bundle.
type Topology string

const (
	// Bridge is that the guest dials the container's own address, and its allowlist is that /32.
	Bridge Topology = "bridge"
	// Alias is that the bundle's ports are published at an address of this host that is this bottle's, and the guest's allowlist is that
	// /32. Beside the bundle everything that this host has bound to the wildcard address answers there; see Plan.Exposed.
	Alias Topology = "alias"
)

// A BundleRuntime is what runs the bundle.
type BundleRuntime string

const (
	// Container is a container of the engine that bundle.Detect finds.
	Container BundleRuntime = "container"
	// Machine is a second machine of the guest's own engine. It needs no container engine, and its topology is Alias.
	Machine BundleRuntime = "machine"
)

func (c Config) topology() Topology {
	if c.Topology != "" {
		return c.Topology
	}
	return Topology(os.Getenv("BOTTLE_TOPOLOGY"))
}

func (c Config) runtime() BundleRuntime {
	if c.BundleRuntime != "" {
		return c.BundleRuntime
	}
	return BundleRuntime(os.Getenv("BOTTLE_BUNDLE_RUNTIME"))
}

// checkBundle refuses a topology and a runtime that do not go together, or with the rest.
func (c Config) checkBundle() []error {
	var errs []error
	switch t := c.topology(); t {
	case "", Bridge, Alias:
	default:
		errs = append(errs, fmt.Errorf("topology %q: want %q, %q or nothing (Config.Topology, $BOTTLE_TOPOLOGY)", t, Bridge, Alias))
	}
	switch r := c.runtime(); r {
	case "", Container:
	case Machine:
		if c.topology() == Bridge {
			errs = append(errs, fmt.Errorf("topology %q needs the bundle in a container: a machine has no address that the host could dial", Bridge))
		}
		if c.needsContainer() {
			errs = append(errs, fmt.Errorf("bundle runtime %q has no use for BundleImage, nor for BundleOptions that are not package bundle's: it runs the default bundle's program", Machine))
		}
	default:
		errs = append(errs, fmt.Errorf("bundle runtime %q: want %q, %q or nothing (Config.BundleRuntime, $BOTTLE_BUNDLE_RUNTIME)", r, Container, Machine))
	}
	for _, port := range c.Publish {
		if port == 0 {
			errs = append(errs, fmt.Errorf("field Publish: 0 is no port"))
		}
	}
	return errs
}

// needsContainer reports whether what is asked for can run in a container only.
func (c Config) needsContainer() bool {
	return c.BundleImage != "" || slices.ContainsFunc(c.BundleOptions, func(o testcontainers.ContainerCustomizer) bool {
		_, ok := o.(bundle.Option)
		return !ok
	})
}

// mayBeMachine reports whether the bundle may run in a machine where no container engine answers.
func (c Config) mayBeMachine() bool {
	return c.runtime() == Machine || c.runtime() == "" && c.topology() != Bridge && !c.needsContainer()
}

// publishBackend is the backend that publishes the ports of a machine in release v. An error says why no bottle can have its
// bundle in one: its ports have to be published at an address that is not the whole host's loopback.
func publishBackend(v smolvm.Version) (smolvm.Backend, error) {
	switch {
	case v.AtLeast(1, 0, 4):
		// Published ports select virtio-net, and SMOLVM_PUBLISH_ADDR says where.
		return smolvm.VirtioNet, nil
	case v.AtLeast(1, 0, 2):
		return "", fmt.Errorf("%w: smolvm %s publishes a machine's ports on 127.0.0.1 only, where the guest's allowlist would be the host's loopback: "+
			"the bundle needs a container engine there (Config.BundleRuntime %q), or smolvm 1.0.4", ErrUnavailable, v, Container)
	default:
		// The host binds the address that the guest chose (libkrun tsi_stream.rs try_listen).
		return smolvm.TSI, nil
	}
}
