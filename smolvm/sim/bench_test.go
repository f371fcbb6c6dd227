//go:build linux

package sim

import (
	"fmt"
	"os"
	"os/exec"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

func benchHost(b *testing.B) func(args ...string) {
	b.Helper()
	dir := b.TempDir()
	return func(args ...string) {
		cmd := exec.Command(program, args...)
		cmd.Env = []string{"HOME=" + dir, "PATH=" + os.Getenv("PATH")}
		if out, err := cmd.CombinedOutput(); err != nil {
			b.Fatalf("%q: %v\n%s", args, err, out)
		}
	}
}

// A new machine with a network, from start to the end of its first exec.
func BenchmarkStartToFirstExec(b *testing.B) {
	sim := benchHost(b)
	for i := range b.N {
		name := fmt.Sprintf("m%d", i)
		b.StopTimer()
		sim("machine", "create", "--name", name, "--allow-cidr", "10.9.8.7/32")
		b.StartTimer()
		sim("machine", "start", "--name", name)
		sim("machine", "exec", "--name", name, "--", "true")
		b.StopTimer()
		sim("machine", "delete", "-f", "--name", name)
		b.StartTimer()
	}
}

// A new machine of a pack whose layers are unpacked, from create to the end of its first exec.
func BenchmarkPackToFirstExec(b *testing.B) {
	sim := benchHost(b)
	out := b.TempDir() + "/app"
	sim("pack", "create", "--image", pushed(b, imageOf(b, v1.Config{}, guest(b))), "-o", out)
	sim("machine", "create", "--name", "first", "--from", out+packSuffix)
	for i := range b.N {
		name := fmt.Sprintf("m%d", i)
		sim("machine", "create", "--name", name, "--from", out+packSuffix)
		sim("machine", "start", "--name", name)
		sim("machine", "exec", "--name", name, "--", "guest", "pwd")
		b.StopTimer()
		sim("machine", "delete", "-f", "--name", name)
		b.StartTimer()
	}
}

func BenchmarkExec(b *testing.B) {
	sim := benchHost(b)
	sim("machine", "create", "--name", "m")
	sim("machine", "start", "--name", "m")
	defer sim("machine", "delete", "-f", "--name", "m")
	for b.Loop() {
		sim("machine", "exec", "--name", "m", "--", "true")
	}
}
