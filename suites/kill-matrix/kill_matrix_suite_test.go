package killmatrix_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"bottle.internal/probes/mutants"
)

func TestKillMatrix(t *testing.T) {
	RegisterFailHandler(Fail)
	RunSpecs(t, "kill-matrix")
}

// lies are what the liar is built with, by the agent that it plays.
var lies = map[mutants.Agent]string{
	mutants.IdleLiar: "", mutants.BusyLiar: "busy", mutants.Mute: "mute", mutants.Deaf: "deaf",
}

// buildLiar is an agent that is none.
func buildLiar(ctx context.Context, dir string, a mutants.Agent) (string, error) {
	path := filepath.Join(dir, string(a))
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	cmd := exec.CommandContext(ctx, "go", "build", "-ldflags=-X main.lies="+lies[a], "-o", path, "../teeth/liar") //nolint:gosec // a table's word
	cmd.Env = append(cmd.Environ(), "CGO_ENABLED=0", "GOOS=linux")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building the agent %q: %w: %s", a, err, out)
	}
	return path, nil
}
