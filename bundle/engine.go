package bundle

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/moby/moby/client"
	"golang.org/x/sync/errgroup"
)

// ErrNoEngine says that no container engine answers; the error around it names what was tried and how to mend it.
var ErrNoEngine = errors.New("no container engine answers")

// perCandidate bounds the questions put to one candidate: an engine that hangs must not hang the tests.
const perCandidate = 2 * time.Second

// An Engine is a container engine that has answered.
type Engine struct {
	Host       string // as in DOCKER_HOST: "unix:///var/run/docker.sock"
	Version    string // of the engine: "20.10.24"
	APIVersion string // the newest API it speaks: "1.41"
	OS         string // of its containers: "linux"
	Arch       string // of its containers, spelled as GOARCH
	Name       string // what it runs on: "Docker Desktop", "OrbStack", "Debian GNU/Linux 12 (bookworm)"
}

// Detect finds the engine as the docker command would: DOCKER_HOST, else the chosen context, else the known sockets. Each
// candidate has 2 s to answer. One that was chosen is final, for another engine is not what was asked for. The error is
// ErrNoEngine.
func Detect(ctx context.Context) (Engine, error) {
	home, _ := os.UserHomeDir() // without a home there are fewer places to look
	return finder{getenv: os.Getenv, home: home, deadline: perCandidate, sockets: knownSockets(home, os.Getenv)}.find(ctx)
}

// A finder is Detect with its surroundings spelled out.
type finder struct {
	getenv   func(string) string
	home     string
	deadline time.Duration
	sockets  []string
}

func (f finder) find(ctx context.Context) (Engine, error) {
	if host := f.getenv("DOCKER_HOST"); host != "" {
		e, err := f.ask(ctx, host)
		if err != nil {
			return Engine{}, fmt.Errorf("%w: DOCKER_HOST=%s: %w; start that engine or unset DOCKER_HOST", ErrNoEngine, host, err)
		}
		return e, nil
	}
	name, host, err := f.chosenContext()
	if err == nil && host != "" {
		var e Engine
		if e, err = f.ask(ctx, host); err == nil {
			return e, nil
		}
	}
	if err != nil {
		return Engine{}, fmt.Errorf("%w: docker context %q: %w; start that engine, `docker context use default`, or set DOCKER_HOST", ErrNoEngine, name, err)
	}
	return f.trySockets(ctx)
}

func (f finder) trySockets(ctx context.Context) (Engine, error) {
	var tried []string
	for _, path := range f.sockets {
		if _, err := os.Stat(path); err != nil {
			tried = append(tried, path+" ("+reason(err)+")")
			continue
		}
		e, err := f.ask(ctx, "unix://"+path)
		if err == nil {
			return e, nil
		}
		tried = append(tried, path+" ("+err.Error()+")")
	}
	return Engine{}, fmt.Errorf("%w: tried %s; start one (Docker, OrbStack, Colima, Rancher Desktop) or set DOCKER_HOST", ErrNoEngine, strings.Join(tried, ", "))
}

func reason(err error) string {
	var p *os.PathError
	if errors.As(err, &p) {
		return p.Err.Error()
	}
	return err.Error()
}

// ask has the engine at host describe itself.
func (f finder) ask(ctx context.Context, host string) (Engine, error) {
	ctx, cancel := context.WithTimeout(ctx, f.deadline)
	defer cancel()
	cli, err := newClient(host)
	if err != nil {
		return Engine{}, err
	}
	defer cli.Close()
	e, err := describe(ctx, cli, host)
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return Engine{}, fmt.Errorf("no answer within %s: %w", f.deadline, err)
	}
	return e, err
}

func newClient(host string) (*client.Client, error) {
	cli, err := client.New(client.FromEnv, client.WithHost(host))
	if err != nil {
		return nil, fmt.Errorf("client for %q: %w", host, err)
	}
	return cli, nil
}

func describe(ctx context.Context, cli *client.Client, host string) (Engine, error) {
	var e Engine
	both, ctx := errgroup.WithContext(ctx)
	both.Go(func() error {
		v, err := cli.ServerVersion(ctx, client.ServerVersionOptions{})
		e.Version, e.APIVersion, e.OS, e.Arch = v.Version, v.APIVersion, v.Os, v.Arch
		return err
	})
	both.Go(func() error {
		info, err := cli.Info(ctx, client.InfoOptions{})
		e.Name = info.Info.OperatingSystem
		return err
	})
	if err := both.Wait(); err != nil {
		return Engine{}, err
	}
	e.Host = host
	return e, nil
}

// knownSockets are where the usual products listen. testcontainers-go v0.45.0 knows neither OrbStack's, Colima's nor Rancher
// Desktop's.
func knownSockets(home string, getenv func(string) string) []string {
	out := []string{"/var/run/docker.sock"}
	if dir := getenv("XDG_RUNTIME_DIR"); dir != "" {
		out = append(out, filepath.Join(dir, "docker.sock"))
	}
	if home != "" {
		for _, p := range []string{
			".docker/run/docker.sock", ".docker/desktop/docker.sock", ".orbstack/run/docker.sock",
			".colima/default/docker.sock", ".config/colima/default/docker.sock", ".rd/docker.sock",
		} {
			out = append(out, filepath.Join(home, p))
		}
	}
	rootless := fmt.Sprintf("/run/user/%d/docker.sock", os.Getuid())
	if out[len(out)-1] != rootless && getenv("XDG_RUNTIME_DIR") != filepath.Dir(rootless) {
		out = append(out, rootless)
	}
	return out
}
