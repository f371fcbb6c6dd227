//go:build linux

// Command smolvm-sim is smolvm's command line on Linux namespaces: a double for tests, not a security boundary.
package main

import (
	"os"

	"bottle.internal/smolvm/sim"
)

func main() { os.Exit(sim.Run()) }
