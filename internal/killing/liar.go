package killing

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"bottle.internal/internal/gobuild"
	"bottle.internal/probes/mutants"
)

// lies are what the liar is built with, by the agent that it plays.
var lies = map[mutants.Agent]string{
	mutants.IdleLiar: "", mutants.BusyLiar: "busy", mutants.Mute: "mute", mutants.Deaf: "deaf",
}

// buildLiar is an agent that is none. It needs this module's sources and the go command.
func buildLiar(ctx context.Context, dir string, a mutants.Agent) (string, error) {
	path := filepath.Join(dir, string(a))
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	root, err := gobuild.ModuleDir(ctx)
	if err != nil {
		return "", fmt.Errorf("building the agent %q: %w", a, err)
	}
	cmd := exec.CommandContext(ctx, "go", "build", "-ldflags=-X main.lies="+lies[a], "-o", path, "./suites/teeth/liar") //nolint:gosec // a table's word
	cmd.Dir, cmd.Env = root, append(cmd.Environ(), "CGO_ENABLED=0", "GOOS=linux")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building the agent %q: %w: %s", a, err, out)
	}
	return path, nil
}
