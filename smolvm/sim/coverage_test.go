//go:build linux

package sim

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// Most of this package runs in processes of the built program. Under go test -coverprofile it is built to count too, and what its
// processes counted is added to the profile:
//
//	go test -coverprofile=/tmp/sim.out ./smolvm/sim && go tool cover -func=/tmp/sim.out | tail -1
//
// The figure that go test itself prints is of the test's own process alone.

const thisPackage = "bottle.internal/smolvm/sim"

// counts is where the processes write; "" = nothing is counted.
var counts string

func coverFlags() []string {
	if testing.CoverMode() == "" {
		return nil
	}
	// Without the main package in it a program counts and writes nothing down.
	return []string{"-cover", "-covermode=" + testing.CoverMode(), "-coverpkg=" + thisPackage + ",bottle.internal/cmd/smolvm-sim"}
}

func countInto(dir string) error {
	if testing.CoverMode() == "" {
		return nil
	}
	counts = dir
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	return os.Chmod(dir, 0o777) // guest root writes there
}

func countVariable() string { return "GOCOVERDIR=" + counts }

// addCounts appends the processes' counts to the profile of this one.
func addCounts() error {
	profile := flag.Lookup("test.coverprofile").Value.String()
	if counts == "" || profile == "" {
		return nil
	}
	if !filepath.IsAbs(profile) {
		profile = filepath.Join(flag.Lookup("test.outputdir").Value.String(), profile)
	}
	text := filepath.Join(filepath.Dir(counts), "counts.txt")
	if out, err := exec.Command("go", "tool", "covdata", "textfmt", "-i="+counts, "-o="+text).CombinedOutput(); err != nil {
		return fmt.Errorf("go tool covdata: %w: %s", err, out)
	}
	b, err := os.ReadFile(text)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(profile, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	for line := range bytes.Lines(b) {
		if !bytes.HasPrefix(line, []byte(thisPackage+"/")) {
			continue
		}
		if _, err := f.Write(line); err != nil {
			return err
		}
	}
	return nil
}
