//go:build linux

package sim

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// A simulator built as "go build" does where a C compiler is says at its first start how to build it.
func TestBuiltWithCgo(t *testing.T) {
	requireNamespaces(t)
	h := newHost(t, newest)
	build := exec.Command("go", "build", "-o", filepath.Join(h.dir, "with-cgo"), "bottle.internal/cmd/smolvm-sim")
	build.Env = append(os.Environ(), "CGO_ENABLED=1")
	if out, err := build.CombinedOutput(); err != nil {
		t.Skipf("there is no C compiler to build it so: %v: %s", err, out)
	}
	h.must("machine", "create", "--name", "m")
	start := exec.Command(build.Args[3], "machine", "start", "--name", "m")
	start.Env = h.env
	out, err := start.CombinedOutput()
	if err == nil || !strings.HasSuffix(string(out), "start machine: smolvm-sim was built with cgo; build it with CGO_ENABLED=0\n") {
		t.Errorf("%v: %s", err, out)
	}
}
