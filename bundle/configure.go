package bundle

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/moby/moby/client"
	"github.com/testcontainers/testcontainers-go"
	tclog "github.com/testcontainers/testcontainers-go/log"
)

// process is what this process has settled on: testcontainers reads its settings once, so there is one engine per process.
var process struct {
	mu     sync.Mutex
	engine Engine // zero until configured
	cli    *client.Client
}

// Configure makes e the engine of this process: it sets what testcontainers reads from the environment alone, once, before
// its first use. Variables the user has set stay as they are. Later calls do nothing, whichever engine they are about. Run,
// NewNetwork and Sweep configure what Detect finds unless this was called before.
func (e Engine) Configure() {
	process.mu.Lock()
	defer process.mu.Unlock()
	e.configure()
}

func (e Engine) configure() {
	if process.engine != (Engine{}) {
		return
	}
	process.engine = e
	for key, value := range e.environment(time.Now()) {
		if os.Getenv(key) == "" {
			_ = os.Setenv(key, value)
		}
	}
}

// environment is what testcontainers-go v0.45.0 has to be told about e.
func (e Engine) environment(now time.Time) map[string]string {
	env := map[string]string{
		"DOCKER_HOST": e.Host,
		// The literal "true": "1" parses as a boolean and means "not disabled". Sweep does the reaper's work, without an
		// image from a registry.
		"TESTCONTAINERS_RYUK_DISABLED": "true",
		// Its own guess hashes a start time that is not stable where /.dockerenv exists.
		"TESTCONTAINERS_SESSION_ID": "bottle-" + strconv.Itoa(os.Getpid()) + "-" + strconv.FormatInt(now.UnixNano(), 36),
	}
	if !strings.HasPrefix(e.Host, "tcp://") {
		// Where /.dockerenv exists it would take the default route for the engine's address.
		env["TESTCONTAINERS_HOST_OVERRIDE"] = "127.0.0.1"
	}
	return env
}

// connect is this process' engine and a client for it, safe for concurrent use and never to be closed.
func connect(ctx context.Context) (Engine, *client.Client, error) {
	process.mu.Lock()
	defer process.mu.Unlock()
	if process.cli != nil {
		return process.engine, process.cli, nil
	}
	if process.engine == (Engine{}) {
		e, err := Detect(ctx)
		if err != nil {
			return Engine{}, nil, err
		}
		e.configure()
	}
	cli, err := newClient(process.engine.Host)
	if err != nil {
		return Engine{}, nil, err
	}
	_, err = toItsEnd(ctx, func(ctx context.Context) (struct{}, error) { return struct{}{}, sameEngine(ctx, process.engine) })
	if err != nil {
		_ = cli.Close()
		return Engine{}, nil, err
	}
	process.cli = cli
	return process.engine, cli, nil
}

// sameEngine makes testcontainers settle on its engine, quietly, and fails if that is another: a tc.host in
// ~/.testcontainers.properties goes before DOCKER_HOST, and an engine without our network puts the container on its default
// bridge without a word.
func sameEngine(ctx context.Context, e Engine) error {
	loud := tclog.Default()
	tclog.SetDefault(tclog.NewNoopLogger()) // it prints a banner at the first look at the engine
	defer tclog.SetDefault(loud)
	cli, err := testcontainers.NewDockerClientWithOpts(ctx)
	if err != nil {
		return fmt.Errorf("testcontainers finds no engine at %s: %w", e.Host, err)
	}
	defer cli.Close()
	if _, err := cli.Info(ctx, client.InfoOptions{}); err != nil {
		return fmt.Errorf("testcontainers cannot ask the engine at %s: %w", e.Host, err)
	}
	if host := cli.DaemonHost(); host != e.Host {
		return fmt.Errorf("testcontainers uses the engine at %s, not %s: remove tc.host from ~/.testcontainers.properties", host, e.Host)
	}
	return nil
}
