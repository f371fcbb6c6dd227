package killing

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/moby/moby/client"
	"github.com/testcontainers/testcontainers-go"

	"bottle.internal/bottletest"
	"bottle.internal/probes/mutants"
)

// containerEffect asks the engine what the bundle's container is.
func (r *runner) containerEffect(ctx context.Context, e mutants.Edit, b *bottletest.Bottle, _ *command) (string, error) {
	if e.Container == "" && len(e.ProxyAllow) == 0 && len(e.Source) == 0 {
		return "", nil
	}
	cli, err := testcontainers.NewDockerClientWithOpts(ctx)
	if err != nil {
		return "", err
	}
	defer func() { _ = cli.Close() }()
	in, err := cli.ContainerInspect(ctx, b.Plan().Machine, client.ContainerInspectOptions{})
	if err != nil {
		return "", err
	}
	c := in.Container
	switch {
	case len(e.ProxyAllow) > 0:
		for _, kv := range c.Config.Env {
			if strings.HasPrefix(kv+",", "BOTTLE_PROXY_ALLOW="+strings.Join(e.ProxyAllow, ",")+",") {
				return "the container's environment has " + kv, nil
			}
		}
		return "", fmt.Errorf("the container's environment is without %q", e.ProxyAllow)
	case len(e.Source) > 0:
		return r.programEffect(ctx, cli, b.Plan().Machine, e.Source)
	case e.Container == mutants.EngineSocket:
		if !slices.Contains(c.HostConfig.Binds, engineSocket+":"+engineSocket) {
			return "", fmt.Errorf("the container has %q bound", c.HostConfig.Binds)
		}
		return "the container has " + engineSocket + " of the host", nil
	case e.Container == mutants.Unconfined:
		if h := c.HostConfig; h.ReadonlyRootfs || len(h.CapDrop) > 0 || len(h.CapAdd) == 0 {
			return "", fmt.Errorf("the container has capabilities -%q +%q, read-only %t", h.CapDrop, h.CapAdd, h.ReadonlyRootfs)
		}
		return "the container drops no capability and may write to its root", nil
	case e.Container == mutants.LogNowhere:
		if kind := c.HostConfig.LogConfig.Type; kind != "none" {
			return "", fmt.Errorf("the container logs to %q", kind)
		}
		return "the engine keeps nothing of what the container prints", nil
	}
	for port, at := range c.NetworkSettings.Ports {
		for _, bound := range at {
			if bound.HostIP == netip.IPv4Unspecified() {
				return fmt.Sprintf("port %s of the container is bound at %s:%s of the host", port, bound.HostIP, bound.HostPort), nil
			}
		}
	}
	return "", fmt.Errorf("no port of the container is bound at every address: %v", c.NetworkSettings.Ports)
}
