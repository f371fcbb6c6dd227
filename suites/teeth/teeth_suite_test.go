package teeth_test

import (
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

// liar is the path of an agent that claims that everything was denied, whatever happened.
var liar string

var _ = BeforeSuite(func(ctx SpecContext) {
	liar = filepath.Join(GinkgoT().TempDir(), "liar")
	cmd := exec.CommandContext(ctx, "go", "build", "-o", liar, "./liar")
	cmd.Env = append(cmd.Environ(), "CGO_ENABLED=0", "GOOS=linux")
	out, err := cmd.CombinedOutput()
	Expect(err).NotTo(HaveOccurred(), string(out))
})
