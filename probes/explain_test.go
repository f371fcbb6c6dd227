package probes

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"bottle.internal/internal/golden"
)

// The page in docs is what the catalogue says.
func TestCataloguePage(t *testing.T) {
	var b strings.Builder
	if err := WriteCatalogue(&b); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join("..", "docs", "probes.md")
	if golden.Updating() {
		if err := os.WriteFile(path, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	page, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(page) != b.String() {
		t.Error("docs/probes.md is not what the catalogue says; go test ./probes -run TestCataloguePage -update")
	}
}

func TestExplainIsWhole(t *testing.T) {
	for _, p := range All() {
		text := p.Explain()
		for _, part := range []string{p.ID, p.What, p.Why, p.Control, p.Remedy, p.Source, p.Where} {
			if !strings.Contains(text, part) {
				t.Errorf("%s: the explanation lacks %q", p.ID, part)
			}
		}
	}
}
