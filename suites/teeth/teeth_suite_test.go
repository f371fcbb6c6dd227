package teeth_test

import (
	"context"
	"os/exec"
	"path/filepath"
	"testing"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

func TestTeeth(t *testing.T) {
	RegisterFailHandler(Fail)
	RunSpecs(t, "teeth")
}

// idleLiar and busyLiar are paths of agents that claim denials: one dials nothing, the other dials and denies what it reached.
var idleLiar, busyLiar string

var _ = BeforeSuite(func(ctx SpecContext) {
	idleLiar, busyLiar = buildLiar(ctx, ""), buildLiar(ctx, "busy")
})

func buildLiar(ctx context.Context, lies string) string {
	GinkgoHelper()
	path := filepath.Join(GinkgoT().TempDir(), "liar")
	cmd := exec.CommandContext(ctx, "go", "build", "-ldflags=-X main.lies="+lies, "-o", path, "./liar")
	cmd.Env = append(cmd.Environ(), "CGO_ENABLED=0", "GOOS=linux")
	out, err := cmd.CombinedOutput()
	Expect(err).NotTo(HaveOccurred(), string(out))
	return path
}
