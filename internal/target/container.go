package target

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/moby/moby/api/pkg/stdcopy"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"

	"bottle.internal/bundle"
	"bottle.internal/probes"
)

// mebibyte is the unit of a container's memory in what is declared.
const mebibyte = 1 << 20

// Container is the sandbox of the running container that the container engine knows by id, a name or an id's beginning. Beside what the
// engine says of it nothing is declared: a container has its mounts and its published ports on purpose, and nothing else of the host's.
func Container(ctx context.Context, id string, opts Options) (*Sandbox, error) {
	engine, err := bundle.Detect(ctx)
	if err != nil {
		return nil, err
	}
	cli, err := client.New(client.FromEnv, client.WithHost(engine.Host))
	if err != nil {
		return nil, err
	}
	c := &boxed{cli: cli, id: id, opts: opts}
	s, err := c.sandbox(ctx, engine)
	if err != nil {
		return nil, errors.Join(err, cli.Close())
	}
	return s, nil
}

// boxed is a container behind its engine.
type boxed struct {
	cli  *client.Client
	id   string
	opts Options
	in   container.InspectResponse
	left bool // an agent lies in the container, and its removal is among what is undone
}

func (c *boxed) sandbox(ctx context.Context, engine bundle.Engine) (*Sandbox, error) {
	seen, err := c.cli.ContainerInspect(ctx, c.id, client.ContainerInspectOptions{})
	if err != nil {
		return nil, fmt.Errorf("container %q: %w", c.id, err)
	}
	c.in = seen.Container
	if c.in.State == nil || !c.in.State.Running || c.in.State.Paused {
		return nil, fmt.Errorf("container %q is not running%s", c.id, ended(c.in.State))
	}
	s := newSandbox(c.opts, "container", engine.Name+" "+engine.Version, c.topology())
	ways, err := c.ways(ctx, s, engine)
	if err != nil {
		return nil, err
	}
	s.undo = append(s.undo, func(context.Context) error { return c.cli.Close() })
	s.site.Declared, s.site.Effective = c.declared(), c.networks()
	return s.enter(ctx, ways)
}

// ended is what became of a container that has ended.
func ended(state *container.State) string {
	if state == nil || state.Status != container.StateExited {
		return ""
	}
	return fmt.Sprintf(": it ended with exit code %d", state.ExitCode)
}

// ways are those into the container. Its image says which architecture it is for; where that is not the engine's own and runs nowhere,
// the image is labelled wrongly, or what emulated it is gone, and the engine's own is tried.
func (c *boxed) ways(ctx context.Context, s *Sandbox, engine bundle.Engine) ([]way, error) {
	arch, err := c.arch(ctx)
	if err != nil {
		return nil, err
	}
	var ways []way
	for _, arch := range slices.Compact([]string{arch, engine.Arch}) {
		content, err := binary(ctx, arch)
		if err != nil {
			return nil, fmt.Errorf("container %q: an agent for linux/%s: %w", c.id, arch, err)
		}
		ways = append(ways, c.byCopy(s, content, arch))
		ways = append(ways, streams(c.run, content, s.mark)...)
	}
	return ways, nil
}

func (c *boxed) topology() string {
	name := strings.TrimPrefix(c.in.Name, "/")
	if c.in.Config != nil {
		name += " (image " + c.in.Config.Image + ")"
	}
	return name
}

// networks are what the container was begun with, and those that it is on: it may have been put on others since.
func (c *boxed) networks() []string {
	mode := "unknown"
	if c.in.HostConfig != nil {
		mode = string(c.in.HostConfig.NetworkMode)
	}
	all := []string{"network mode " + mode}
	if c.in.NetworkSettings == nil {
		return all
	}
	for _, name := range slices.Sorted(maps.Keys(c.in.NetworkSettings.Networks)) {
		if name != mode {
			all = append(all, "on network "+name)
		}
	}
	return all
}

// arch is what the container's image was built for.
func (c *boxed) arch(ctx context.Context) (string, error) {
	img, err := c.cli.ImageInspect(ctx, c.in.Image)
	if err != nil {
		return "", fmt.Errorf("container %q: its image: %w", c.id, err)
	}
	return img.Architecture, nil
}

// declared is what the engine was asked to give the container of its host.
func (c *boxed) declared() probes.Declared {
	d := probes.Declared{Boundary: probes.Container}
	for _, m := range c.in.Mounts {
		given := probes.Mount{Guest: m.Destination, ReadOnly: !m.RW}
		if m.Type == "bind" {
			given.Host = m.Source
		}
		d.Mounts = append(d.Mounts, given)
	}
	if c.in.HostConfig != nil {
		d.MemoryMiB, d.CPUs = int(c.in.HostConfig.Memory/mebibyte), int(c.in.HostConfig.NanoCPUs/1e9)
	}
	if c.in.NetworkSettings == nil {
		return d
	}
	for port, bindings := range c.in.NetworkSettings.Ports {
		for _, b := range bindings {
			number, err := strconv.ParseUint(b.HostPort, 10, 16)
			if err == nil {
				d.Published = append(d.Published, probes.Published{Host: netip.AddrPortFrom(b.HostIP, uint16(number)), Guest: port.Num(), Network: string(port.Proto())})
			}
		}
	}
	return d
}

// byCopy has the engine write the agent into the container, which needs nothing in it.
func (c *boxed) byCopy(s *Sandbox, content []byte, arch string) way {
	path, copied := "/"+s.mark, false
	return way{name: "by copy, at " + path + " (" + arch + ")", run: func(ctx context.Context, request []byte) ([]byte, error) {
		if !copied {
			if err := c.copyIn(ctx, s.mark, content); err != nil {
				return nil, err
			}
			copied = true
			if !c.left { // else it lies over another, and takes itself away as well
				c.left = true
				s.undo = append(s.undo, func(ctx context.Context) error { return c.remove(ctx, path) })
			}
		}
		return answer(c.run(ctx, command{argv: []string{path}, stdin: request}))
	}}
}

func (c *boxed) copyIn(ctx context.Context, name string, content []byte) error {
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	if err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o755, Size: int64(len(content))}); err != nil {
		return err
	}
	if _, err := w.Write(content); err != nil {
		return err
	}
	if err := w.Close(); err != nil {
		return err
	}
	_, err := c.cli.CopyToContainer(ctx, c.id, client.CopyToContainerOptions{DestinationPath: "/", Content: &archive})
	return err
}

// remove has the agent take itself away, as root, since whoever may run it may not remove it. A container that has ended takes its files
// with it, or keeps them.
func (c *boxed) remove(ctx context.Context, path string) error {
	res, err := c.runAs(ctx, "0", command{argv: []string{path, "--remove"}})
	switch {
	case err != nil:
		return fmt.Errorf("%s is left behind in container %q: %w", path, c.id, err)
	case res.code != 0:
		return fmt.Errorf("%s is left behind in container %q: exit code %d: %s", path, c.id, res.code, lastLine(res.stderr))
	}
	return nil
}

func (c *boxed) run(ctx context.Context, cmd command) (result, error) { return c.runAs(ctx, "", cmd) }

func (c *boxed) runAs(ctx context.Context, user string, cmd command) (result, error) {
	c.opts.logf("in container %s: %s", c.id, shown(cmd.argv))
	made, err := c.cli.ExecCreate(ctx, c.id, client.ExecCreateOptions{
		User: user, Cmd: cmd.argv, AttachStdin: true, AttachStdout: true, AttachStderr: true,
	})
	if err != nil {
		return result{}, err
	}
	conn, err := c.cli.ExecAttach(ctx, made.ID, client.ExecAttachOptions{})
	if err != nil {
		return result{}, err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, conn.Close)
	defer stop()
	go func() {
		_, _ = conn.Conn.Write(cmd.stdin) // a command that does not read it says so by its end
		_ = conn.CloseWrite()
	}()
	out, errOut := &bounded{over: conn.Close}, &bounded{over: conn.Close}
	_, err = stdcopy.StdCopy(out, errOut, conn.Reader)
	switch {
	case out.flooded || errOut.flooded:
		return result{}, ErrFlood
	case ctx.Err() != nil:
		return result{}, context.Cause(ctx)
	case err != nil:
		return result{}, err
	}
	code, err := c.exitCode(ctx, made.ID)
	return result{stdout: out.kept.Bytes(), stderr: errOut.kept.Bytes(), code: code}, err
}

// exitCode waits for the end of a process: the engine has the end of its streams before its exit code.
func (c *boxed) exitCode(ctx context.Context, exec string) (int, error) {
	for {
		in, err := c.cli.ExecInspect(ctx, exec, client.ExecInspectOptions{})
		if err != nil || !in.Running {
			return in.ExitCode, err
		}
		select {
		case <-ctx.Done():
			return 0, context.Cause(ctx)
		case <-time.After(2 * time.Millisecond):
		}
	}
}
