package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"bottle.internal/bottletest"
	"bottle.internal/internal/certificate/certificatetest"
	"bottle.internal/probes"
)

// verifies holds a certificate of what is built from these sources against what the release would launch: it has to be the same, byte for byte.
func (h host) verifies(t *testing.T) {
	smolvm := filepath.Join(t.TempDir(), "smolvm") // planning asks it for no more than its version
	if err := os.WriteFile(smolvm, []byte("#!/bin/sh\necho smolvm 1.9.3\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	digests, err := bottletest.Digests(t.Context(), bottletest.Config{Engine: bottletest.Smolvm, Smolvm: smolvm, Daemons: []string{"proxy", "egress"}})
	if err != nil {
		t.Fatal(err)
	}
	honest := h.certificate(t, digests)
	if code, out, errOut := h.does(t, false, "verify", honest, "--key", honest+".pub", "--smolvm", smolvm, "--topology", "bridge"); code != 0 {
		t.Errorf("exit %d\n%s%s", code, out, errOut)
	}
	if code, out, errOut := h.does(t, true, "verify", honest, "--key", honest+".pub", "--smolvm", smolvm, "--topology", "bridge"); code != 4 || !strings.Contains(errOut, "$HOME") {
		t.Errorf("nowhere to unpack: exit %d\n%s%s", code, out, errOut)
	}
	digests["agent"] = digests["bundle"]
	other := h.certificate(t, digests)
	if code, out, errOut := h.does(t, false, "verify", other, "--key", other+".pub", "--smolvm", smolvm, "--topology", "bridge"); code != 1 {
		t.Errorf("a certificate of another agent: exit %d\n%s%s", code, out, errOut)
	}
}

// certificate writes one of a sound bottle with digests, and its key's public half beside it.
func (h host) certificate(t *testing.T, digests map[string]string) string {
	t.Helper()
	return certificatetest.Write(t, probes.Report{
		Schema: probes.Schema, Engine: "smolvm", Version: "1.9.3", Backend: "virtio-net", Topology: "bridge", Guest: &probes.Guest{Kernel: "6.12"},
		Asked: []string{"allow 192.0.2.7/32"}, Allowed: "192.0.2.7",
	}, probes.L3, digests)
}
