package smolvm

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
)

// CreateOptions describe a new machine. The zero value is a bare machine (the agent's own userland) without a network.
type CreateOptions struct {
	// Image is an OCI image reference, or from 1.1.0 a path to a tar or directory that begins with "/", "./" or "../".
	// It is fetched at the first start, by the guest. Not together with From.
	Image string
	// From is the path of a .smolmachine pack. It must stay in place: later starts read it again.
	From string
	// CPUs and MemoryMiB size the guest; 0 is smolvm's default, 4 and 8192. With From, a value equal to the default counts as 0 for
	// smolvm, and 0 is the pack's own.
	CPUs, MemoryMiB int
	// Network is what the guest may reach; zero is nothing.
	Network Network
	// Ports publishes guest ports on the host. It needs a Network: for a port alone smolvm would make one, without a policy. On virtio-net
	// they are at 127.0.0.1, or where StartOptions.PublishAddr says. On TSI (up to 1.0.1) the host listens at the address that the guest's
	// program chose, which is every address of the host (0.0.0.0) for most programs (libkrun tsi_stream.rs try_listen). 1.0.2 and 1.0.3 publish
	// none unless Network.Backend is VirtioNet.
	Ports []Port
	// Volumes are host directories seen in the guest.
	Volumes []Volume
	// Init are shell commands that the guest runs once, in order, at its first start; what fails, fails the start.
	Init []string
	// Env holds KEY=VALUE for every command in the guest. At 0.8.0 commands were seen not to get it: Command.Env is sure.
	Env []string
	// Workdir is the absolute directory commands start in; "" is the image's own, or "/". Not with From below 1.8.0, which drops it.
	Workdir string
	// Labels are kept with the machine and listed with it. 1.8.0 or later.
	Labels map[string]string
}

// Create makes a machine, and does not start it. The name holds letters, digits, '-' and '_', at most 128 of them.
//
// ErrExists: there is one of that name. ErrPolicy: this release would not take o.Network. ErrUnsupported: an option this release has
// not. Both of the latter, and ErrInvalid, before anything is made.
//
// A policy with From is dropped by the command line below 1.8.0, without a word. There the machine is made by smolvm's HTTP API, from a
// server that is started for this one call on a socket nobody else can reach, and ends with it; ErrPolicy if that fails, and then no
// machine is left.
func (c *Client) Create(ctx context.Context, name string, o CreateOptions) error {
	if err := o.check(name); err != nil {
		return fmt.Errorf("creating %q: %w", name, err)
	}
	v, err := c.release(ctx)
	if err != nil {
		return err
	}
	if err := o.checkRelease(v); err != nil {
		return fmt.Errorf("creating %q: %w", name, err)
	}
	if o.From != "" {
		if o.From, err = filepath.Abs(o.From); err != nil {
			return fmt.Errorf("creating %q: %w: pack: %w", name, ErrInvalid, err)
		}
	}
	how := KnownFlag
	if o.needsAPI(v) {
		how, err = c.createByAPI(ctx, v, name, o)
	} else {
		_, err = c.run(ctx, call{argv: createArgs(v, name, o), limit: createLimit, apart: true})
	}
	if err != nil {
		return err
	}
	c.remember(name, o, how)
	return nil
}

func (o CreateOptions) check(name string) error {
	if err := checkName(name); err != nil {
		return err
	}
	switch {
	case o.Image != "" && o.From != "":
		return fmt.Errorf("%w: both an image %q and a pack %q", ErrInvalid, o.Image, o.From)
	case strings.HasPrefix(o.Image, "-"):
		return fmt.Errorf("%w: image %q", ErrInvalid, o.Image)
	case o.CPUs < 0 || o.MemoryMiB < 0:
		return fmt.Errorf("%w: %d CPUs, %d MiB", ErrInvalid, o.CPUs, o.MemoryMiB)
	case len(o.Ports) > 0 && !o.Network.on():
		return fmt.Errorf("%w: port %s without a network: smolvm would make one that reaches everything", ErrInvalid, o.Ports[0])
	}
	if o.Workdir != "" {
		if err := checkGuestPath(o.Workdir); err != nil {
			return err
		}
	}
	for what, s := range map[string]string{"image": o.Image, "pack": o.From} {
		if err := checkText(what, s); err != nil {
			return err
		}
	}
	return errors.Join(checkEnv(o.Env), checkLabels(o.Labels), checkAttached(o), o.Network.check())
}

// checkRelease refuses what release v would drop without a word, or fail on when it is too late.
func (o CreateOptions) checkRelease(v Version) error {
	switch {
	case o.Network.DenyAll && (o.Image != "" || len(o.Init) > 0 || len(o.Labels) > 0 || o.Workdir != ""):
		return fmt.Errorf("%w: a machine that may reach nothing is made by smolvm's API, which takes no image, init command, label or working directory", ErrUnsupported)
	case o.needsAPI(v) && len(o.Init) > 0:
		return fmt.Errorf("%w: init commands of a machine from a pack with a policy: %s takes them, this is %s", ErrUnsupported, features[fromKeepsPolicy].since, v)
	case o.From != "" && o.Workdir != "" && !v.has(fromKeepsPolicy):
		return fmt.Errorf("%w: smolvm %s drops the working directory of a machine made from a pack", ErrUnsupported, v)
	case len(o.Labels) > 0 && !v.has(labels):
		return fmt.Errorf("%w: labels: %s has them, this is %s", ErrUnsupported, features[labels].since, v)
	case isLocalImage(o.Image) && !v.has(localImage):
		return fmt.Errorf("%w: image from the local path %q: %s takes it, this is %s", ErrUnsupported, o.Image, features[localImage].since, v)
	}
	if err := o.Network.checkRelease(v); err != nil {
		return err
	}
	return o.Network.checkPorts(v, len(o.Ports) > 0)
}

func isLocalImage(image string) bool {
	for _, prefix := range []string{"/", "./", "../"} {
		if strings.HasPrefix(image, prefix) {
			return true
		}
	}
	return false
}
