//go:build mage

// Everything one can do here; CI calls these targets and nothing else, so that a red job is one local command. The work is done
// by internal/gate, which is ordinary, tested Go.
package main

import (
	"os"
	"strings"

	"github.com/magefile/mage/sh"
)

// Test runs all that CI runs: lint, vet, tidy, unit, integration, conformance, teeth, consumer, leftovers; needs a container engine.
func Test() error { return gate("test") }

// Unit runs the unit tests with -race; needs no VM, and without a container engine the tests that want one skip and say so.
func Unit() error { return gate("unit") }

// Integration runs the suites, or the one named behind it (smoke, loopback-refused, egress-port-bypass, conformance); needs a container engine,
// and smolvm or a plain Linux, where the simulator takes its place and says so.
func Integration() error {
	// mage knows no optional argument without a flag's dress, and a suite's name is one word everywhere.
	for i, word := range os.Args {
		if strings.EqualFold(word, "integration") && i+1 < len(os.Args) {
			if err := gate("integration", os.Args[i+1]); err != nil {
				return err
			}
			os.Exit(0) // the suite's name is no target
		}
	}
	return gate("integration")
}

// Teeth runs the isolation claims, and the whole catalogue, against bottles broken on purpose, prints which probe saw which, and fails if
// nobody saw one; needs what integration needs, with containers for the catalogue.
func Teeth() error { return gate("teeth") }

// Consumer tests the kit from another module that imports it through a replace line; needs what integration needs.
func Consumer() error { return gate("consumer") }

// Lint runs golangci-lint and actionlint; needs nothing, and builds them the first time (a minute and a half on two cores).
func Lint() error { return gate("lint") }

// Vet builds and vets for Linux and macOS; needs nothing.
func Vet() error { return gate("vet") }

// Bench prints what launching, running and ending a bottle costs; needs what integration needs.
func Bench() error { return gate("bench") }

// Gallery probes sandboxes that many people have and writes docs/gallery.md; needs a Linux with the sandboxes (bubblewrap, firejail,
// util-linux) and, for the containers among them, docker.
func Gallery() error { return gate("gallery") }

// Release builds what is released into dist/, twice, and compares: bottle-probe for macOS and Linux with agent and bundle inside, checksums and bills
// of material; needs nothing, and minutes. Only after teeth does a release know what its probes have told apart.
func Release() error { return gate("release") }

// Record writes down what smolvm says, in smolvm/testdata/transcripts, for the fake to replay and for later runs to be held to; needs
// $BOTTLE_SMOLVM for the real one, and on Linux takes the simulator's word where there is none better.
func Record() error { return gate("record") }

// Sweep removes what killed runs left behind and nothing that is alive; needs nothing.
func Sweep() error { return gate("sweep") }

// Rename gives the module another path everywhere, for a fork that is published; needs git.
func Rename(path string) error { return gate("rename", path) }

// gate builds the command and runs it. It is built to a file because "go run" neither passes signals on nor keeps the last line
// of a failing run the last; for the same reason a failure ends the process here.
func gate(args ...string) error {
	if err := sh.Run("go", "build", "-buildvcs=false", "-o", "bin/gate", "./internal/gate"); err != nil {
		return err
	}
	if err := sh.RunV("bin/gate", args...); err != nil {
		os.Exit(sh.ExitStatus(err))
	}
	return nil
}
