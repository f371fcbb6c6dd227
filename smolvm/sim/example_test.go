//go:build linux

package sim_test

import (
	"os"
	"strings"

	"bottle.internal/smolvm/sim"
)

// A command line runs in this process; only a machine's start needs the built program.
func ExampleMain() {
	env := []string{"HOME=/nonexistent", "SMOLVM_SIM_VERSION=0.8.0"}
	code := sim.Main([]string{"--version"}, env, strings.NewReader(""), os.Stdout, os.Stderr)
	if code != 0 {
		os.Exit(code)
	}
	// Output: smolvm 0.8.0 (simulated)
}
