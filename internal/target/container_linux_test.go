package target

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"

	"bottle.internal/bundle"
	"bottle.internal/probes"
)

// boxedBundle is a container of the bundle's image, which has a program and nothing else: no shell, no rm.
func boxedBundle(t *testing.T, host *container.HostConfig) (*client.Client, string) {
	t.Helper()
	engine, err := bundle.Detect(t.Context())
	if errors.Is(err, bundle.ErrNoEngine) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	image, err := bundle.Image(t.Context(), engine)
	if err != nil {
		t.Fatal(err)
	}
	cli, err := client.New(client.FromEnv, client.WithHost(engine.Host))
	if err != nil {
		t.Fatal(err)
	}
	made, err := cli.ContainerCreate(t.Context(), client.ContainerCreateOptions{Image: image, HostConfig: host})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_, err := cli.ContainerRemove(context.Background(), made.ID, client.ContainerRemoveOptions{Force: true})
		if err := errors.Join(err, cli.Close()); err != nil {
			t.Error(err)
		}
	})
	if _, err := cli.ContainerStart(t.Context(), made.ID, client.ContainerStartOptions{}); err != nil {
		t.Fatal(err)
	}
	return cli, made.ID
}

// A container is told by what its engine was asked for, and nothing is left behind in it.
func TestContainer(t *testing.T) {
	for _, c := range []struct {
		name string
		host container.HostConfig
		want map[string]probes.Verdict
	}{
		{"plain", container.HostConfig{}, map[string]probes.Verdict{canaryID: probes.Leak, "net.tcp.loopback.v4": probes.Contained, "net.unix.inventory": probes.Contained, "fs.mounts.exact": probes.Contained}},
		{"no network", container.HostConfig{NetworkMode: "none"}, map[string]probes.Verdict{canaryID: probes.Contained}},
		{"the host's network", container.HostConfig{NetworkMode: "host"}, map[string]probes.Verdict{canaryID: probes.Leak, "net.tcp.loopback.v4": probes.Leak}},
		{"the host's files", container.HostConfig{Binds: []string{"/tmp:/host:ro"}}, map[string]probes.Verdict{"net.unix.shared-mount": probes.Leak, "fs.mounts.exact": probes.Contained}},
	} {
		cli, id := boxedBundle(t, &c.host)
		s, err := Container(t.Context(), id, options(t))
		if err != nil {
			t.Fatal(err)
		}
		for probe, want := range c.want {
			if f := verdict(t, s, probe); f.Verdict != want {
				t.Errorf("%s: %s", c.name, f)
			}
		}
		if err := s.Close(t.Context()); err != nil {
			t.Error(err)
		}
		nothingLeft(t, cli, id)
	}
}

// nothingLeft fails where the container has a file of ours.
func nothingLeft(t *testing.T, cli *client.Client, id string) {
	t.Helper()
	diff, err := cli.ContainerDiff(t.Context(), id, client.ContainerDiffOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, change := range diff.Changes {
		if strings.Contains(change.Path, ".bottle-") {
			t.Errorf("left behind: %s", change.Path)
		}
	}
}

// A container that cannot be asked, or no longer, is an error that says so.
func TestContainerGone(t *testing.T) {
	cli, id := boxedBundle(t, nil)
	s, err := Container(t.Context(), id, options(t))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := cli.ContainerPause(t.Context(), id, client.ContainerPauseOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := Container(t.Context(), id, options(t)); err == nil || !strings.Contains(err.Error(), "not running") {
		t.Errorf("paused: %v", err)
	}
	if _, err := cli.ContainerKill(t.Context(), id, client.ContainerKillOptions{Signal: "SIGKILL"}); err != nil {
		t.Fatal(err)
	}
	rep, err := s.Probe(t.Context(), probes.Options{}, canaryID)
	if err == nil && rep.Worst() != probes.Error {
		t.Errorf("%s", rep)
	}
	if err := s.Close(t.Context()); err == nil || !strings.Contains(err.Error(), "left behind") {
		t.Errorf("closing what is gone: %v", err)
	}
}
