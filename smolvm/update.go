package smolvm

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// UpdateOptions are changes to a machine. The zero value is none. What is added replaces what is there under the same name.
type UpdateOptions struct {
	// CPUs and MemoryMiB are the new size; 0 leaves it.
	CPUs, MemoryMiB int
	// StorageGiB and OverlayGiB are new sizes of the disks, which only grow; 0 leaves them.
	StorageGiB, OverlayGiB int
	// Net gives the machine a network, NoNet takes it away.
	Net, NoNet bool
	// Volumes and Ports are added. A first port gives the machine a network, without a policy.
	Volumes, RemoveVolumes []Volume
	Ports, RemovePorts     []Port
	// Env holds KEY=VALUE to set, RemoveEnv keys to drop.
	Env, RemoveEnv []string
	// Workdir is the new directory that commands start in; "" leaves it.
	Workdir string
	// The policy, in releases after 1.9.3 only (#1299); the names are Network's.
	AllowCIDRs, RemoveCIDRs []netip.Prefix
	AllowHosts, RemoveHosts []string
	LoopbackOnly            bool
}

// policy reports whether o changes what the machine may reach.
func (o UpdateOptions) policy() bool {
	return o.LoopbackOnly || len(o.AllowCIDRs)+len(o.RemoveCIDRs)+len(o.AllowHosts)+len(o.RemoveHosts) > 0
}

// Update changes a machine that does not run.
//
// ErrInvalid: no change, or a malformed one. ErrUnsupported: a change of the policy that this release cannot make. ErrState: the machine
// runs. ErrNotFound. After a change of the network, the ports or the policy EffectivePolicy knows nothing of the machine.
func (c *Client) Update(ctx context.Context, name string, o UpdateOptions) error {
	if err := errors.Join(checkName(name), o.check()); err != nil {
		return fmt.Errorf("updating %q: %w", name, err)
	}
	v, err := c.release(ctx)
	if err != nil {
		return err
	}
	if o.policy() && !v.has(updatePolicy) {
		return fmt.Errorf("updating %q: %w: the policy of a machine that is there: %s changes it, this is %s", name, ErrUnsupported, features[updatePolicy].since, v)
	}
	if _, err := c.run(ctx, call{argv: updateArgs(v, name, o), limit: queryLimit, apart: true}); err != nil {
		return err
	}
	if o.policy() || o.Net || o.NoNet || len(o.Ports)+len(o.RemovePorts) > 0 {
		m := c.machine(name)
		c.mu.Lock()
		defer c.mu.Unlock()
		m.how = Unknown
	}
	return nil
}

func (o UpdateOptions) check() error {
	switch {
	case len(updateArgs(Version{}, "", o)) == len(updateArgs(Version{}, "", UpdateOptions{})):
		return fmt.Errorf("%w: nothing to change", ErrInvalid)
	case o.Net && o.NoNet:
		return fmt.Errorf("%w: both a network and none", ErrInvalid)
	case min(o.CPUs, o.MemoryMiB, o.StorageGiB, o.OverlayGiB) < 0:
		return fmt.Errorf("%w: %d CPUs, %d MiB, %d GiB and %d GiB of disk", ErrInvalid, o.CPUs, o.MemoryMiB, o.StorageGiB, o.OverlayGiB)
	}
	for _, key := range o.RemoveEnv {
		if !envKey.MatchString(key) {
			return fmt.Errorf("%w: variable name %q", ErrInvalid, key)
		}
	}
	if o.Workdir != "" {
		if err := checkGuestPath(o.Workdir); err != nil {
			return err
		}
	}
	return errors.Join(checkEnv(o.Env),
		checkAttached(CreateOptions{Ports: o.Ports, Volumes: o.Volumes}), checkAttached(CreateOptions{Ports: o.RemovePorts, Volumes: o.RemoveVolumes}),
		Network{AllowCIDRs: slices.Concat(o.AllowCIDRs, o.RemoveCIDRs), AllowHosts: slices.Concat(o.AllowHosts, o.RemoveHosts)}.check())
}

func updateArgs(v Version, name string, o UpdateOptions) []string {
	argv := []string{"machine", "update"}
	if v.has(nameFlag) {
		argv = append(argv, "--name", name)
	}
	argv = append(argv, sizeArgs(o.CPUs, o.MemoryMiB)...)
	argv = append(argv, numberArgs("--storage", o.StorageGiB)...)
	argv = append(argv, numberArgs("--overlay", o.OverlayGiB)...)
	argv = append(argv, switchArgs(map[string]bool{"--net": o.Net, "--no-net": o.NoNet, "--outbound-localhost-only": o.LoopbackOnly})...)
	argv = append(argv, manyArgs("-v", o.Volumes)...)
	argv = append(argv, manyArgs("--remove-volume", o.RemoveVolumes)...)
	argv = append(argv, manyArgs("-p", o.Ports)...)
	argv = append(argv, manyArgs("--remove-port", o.RemovePorts)...)
	argv = append(argv, guestArgs(o.Workdir, o.Env)...)
	argv = append(argv, manyArgs("--remove-env", o.RemoveEnv)...)
	argv = append(argv, manyArgs("--allow-cidr", o.AllowCIDRs)...)
	argv = append(argv, manyArgs("--remove-allow-cidr", o.RemoveCIDRs)...)
	argv = append(argv, manyArgs("--allow-host", o.AllowHosts)...)
	argv = append(argv, manyArgs("--remove-allow-host", o.RemoveHosts)...)
	if !v.has(nameFlag) {
		argv = append(argv, name)
	}
	return argv
}

// manyArgs repeats flag before each of values.
func manyArgs[T any](flag string, values []T) []string {
	var argv []string
	for _, v := range values {
		argv = append(argv, flag, fmt.Sprint(v))
	}
	return argv
}

// switchArgs are the flags that are on, sorted.
func switchArgs(on map[string]bool) []string {
	var argv []string
	for flag, set := range on {
		if set {
			argv = append(argv, flag)
		}
	}
	slices.SortFunc(argv, strings.Compare)
	return argv
}
