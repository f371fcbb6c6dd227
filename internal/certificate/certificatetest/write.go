// Package certificatetest makes certificates for tests.
package certificatetest

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"bottle.internal/internal/certificate"
	"bottle.internal/probes"
)

// Write writes a certificate of report, to which a contained finding of every probe at the given level is added, about what has digests. It
// returns its path; the key's public half is beside it, with ".pub" behind the name.
func Write(t *testing.T, report probes.Report, level probes.Assurance, digests map[string]string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "certificate")
	key, err := certificate.GenerateKey(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range probes.All() {
		report.Findings = append(report.Findings, probes.Finding{ID: p.ID, Severity: p.Severity, Verdict: probes.Contained, Assurance: level})
	}
	statement, err := certificate.NewStatement(report, digests, certificate.Mutation{}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	envelope, err := certificate.Sign(t.Context(), statement, key)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, envelope, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
