package bottletest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"

	"bottle.internal/internal/gobuild"
	"bottle.internal/probes"
	"bottle.internal/smolvm"
)

// A guestEngine is the smolvm that runs a bottle's guest: the program, what it is, and the environment it needs.
type guestEngine struct {
	kind    Engine
	client  *smolvm.Client
	version smolvm.Version
}

// InstallHint is what a user without smolvm is told, in one line.
const InstallHint = "install smolvm (https://smolmachines.com) and put it on PATH, or name it in $BOTTLE_SMOLVM; " +
	"on Linux, in a checkout of the kit, BOTTLE_ENGINE=sim takes the simulator, which proves the kit and not a VM"

// FindEngine says which engine cfg would run, such as "smolvm 1.9.3 at /usr/local/bin/smolvm", or what is missing for it.
func FindEngine(ctx context.Context, cfg Config) (string, error) {
	e, err := findEngine(ctx, cfg)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("smolvm %s at %s", e.version, e.client.Path), nil
}

// findEngine resolves the engine that cfg asks for and asks it for its version. It never takes another than the one named.
func findEngine(ctx context.Context, cfg Config) (*guestEngine, error) {
	kind := cfg.engine()
	path, err := enginePath(ctx, cfg, kind)
	if err != nil {
		return nil, err
	}
	e := &guestEngine{kind: kind, client: &smolvm.Client{Path: path, Env: engineEnv(cfg, kind), Logf: cfg.Logf, Rewrite: cfg.Rewrite}}
	if e.version, err = e.client.Version(ctx); err != nil {
		return nil, fmt.Errorf("%w: %q does not tell its version: %w", ErrUnavailable, path, err)
	}
	if e.version.Simulated != (kind == Simulator) {
		return nil, fmt.Errorf("%w: the engine asked for is %q, but %q is smolvm %s", ErrUnavailable, kind, path, e.version)
	}
	return e, nil
}

func enginePath(ctx context.Context, cfg Config, kind Engine) (string, error) {
	if kind == Simulator {
		if runtime.GOOS != "linux" {
			return "", fmt.Errorf("%w: the simulator runs on Linux only, this is %s", ErrUnavailable, runtime.GOOS)
		}
		path, err := gobuild.Binary(ctx, gobuild.Target{Command: "smolvm-sim"})
		if err != nil {
			return "", fmt.Errorf("%w: the simulator: %w", ErrUnavailable, err)
		}
		return path, nil
	}
	name := cfg.Smolvm
	if name == "" {
		name = os.Getenv("BOTTLE_SMOLVM")
	}
	if name == "" {
		name = "smolvm"
	}
	path, err := exec.LookPath(name)
	if errors.Is(err, exec.ErrDot) {
		err = nil
	}
	if err != nil {
		return "", fmt.Errorf("%w: no smolvm: %w: %s", ErrUnavailable, err, InstallHint)
	}
	return filepath.Abs(path)
}

// enginePass are variables of the caller's that say where an installed smolvm keeps its parts. The client scrubs all other
// SMOLVM_* ones: several of them change what a policy lets through.
var enginePass = []string{"SMOLVM_AGENT_ROOTFS", "SMOLVM_LIB_DIR", "SMOLVM_CONFIG", "SMOLVM_DATA_DIR"}

func engineEnv(cfg Config, kind Engine) []string {
	var env []string
	for _, name := range enginePass {
		if v, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+v)
		}
	}
	if kind != Simulator {
		return env
	}
	version := cfg.Sim.Version
	if version == "" {
		version = os.Getenv("SMOLVM_SIM_VERSION")
	}
	if version != "" {
		env = append(env, "SMOLVM_SIM_VERSION="+version)
	}
	faults := strings.Join(cfg.Sim.Faults, ",")
	if faults == "" {
		faults = os.Getenv("SMOLVM_SIM_FAULTS")
	}
	if faults != "" {
		env = append(env, "SMOLVM_SIM_FAULTS="+faults)
	}
	return env
}

// stateEnv is what finds the engine's machines again from another process: its own settings and where its state lives.
func (e *guestEngine) stateEnv() []string {
	env := append([]string(nil), e.client.Env...)
	for _, name := range []string{"HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME"} {
		if v, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+v)
		}
	}
	return env
}

// openWorld brings up the sink that stands in for the rest of the internet, for an engine that is hermetic.
func (l *launch) openWorld() error {
	if l.engine.kind != Simulator {
		return nil
	}
	w, err := probes.NewWorld()
	if err != nil {
		return err
	}
	l.world = w
	l.undo.push("world", func(context.Context) error { return w.Close() })
	l.engine.client.Env = append(l.engine.client.Env, "SMOLVM_SIM_WORLD="+w.Path())
	l.record.World = filepath.Dir(w.Path())
	return l.record.write()
}
