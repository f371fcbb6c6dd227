package main

import (
	"bytes"
	"debug/buildinfo"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	cdx "github.com/CycloneDX/cyclonedx-go"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"bottle.internal/internal/gobuild"
)

// The bill names all that was linked, refers to nothing that it does not name, and is what the schema calls a bill.
func TestBill(t *testing.T) {
	probe := product{gobuild.Target{Command: "bottle-probe", GOOS: "linux", GOARCH: "amd64"}, os.Args[0]}
	inside := product{gobuild.Target{Command: "bottle-agent", GOOS: "linux", GOARCH: "amd64"}, os.Args[0]}
	b, err := newBill(gobuild.Release{Version: "1.2.3", Kit: "k"}, probe, []product{inside})
	if err != nil {
		t.Fatal(err)
	}
	var text bytes.Buffer
	if err := b.write(&text); err != nil {
		t.Fatal(err)
	}
	valid(t, text.Bytes())
	var back cdx.BOM
	if err := cdx.NewBOMDecoder(&text, cdx.BOMFileFormatJSON).Decode(&back); err != nil {
		t.Fatal(err)
	}
	refs := []string{back.Metadata.Component.BOMRef}
	for _, c := range *back.Components {
		refs = append(refs, c.BOMRef)
	}
	if slices.Sort(refs); len(slices.Compact(slices.Clone(refs))) != len(refs) {
		t.Errorf("something is named twice: %q", refs)
	}
	for _, d := range *back.Dependencies {
		for _, ref := range append(*d.Dependencies, d.Ref) {
			if !slices.Contains(refs, ref) {
				t.Errorf("nothing is %s", ref)
			}
		}
	}
	info, err := buildinfo.ReadFile(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range info.Deps {
		if !slices.ContainsFunc(refs, func(ref string) bool { return strings.HasPrefix(ref, fmt.Sprintf("pkg:golang/%s@", m.Path)) }) {
			t.Errorf("the bill lacks %s", m.Path)
		}
	}
}

// valid holds a bill to the schema of CycloneDX, which comes with the library, one file under another name.
func valid(t *testing.T, text []byte) {
	t.Helper()
	dir, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", "github.com/CycloneDX/cyclonedx-go").Output()
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	for name, file := range map[string]string{
		"bom-1.6.schema.json": "bom-1.6.schema.json", "spdx.schema.json": "spdx.schema.json", "jsf-0.82.schema.json": "jsf-0.82.schemax.json",
	} {
		content, err := os.Open(filepath.Join(strings.TrimSpace(string(dir)), "schema", file))
		if err != nil {
			t.Fatal(err)
		}
		doc, err := jsonschema.UnmarshalJSON(content)
		_ = content.Close()
		if err == nil {
			err = c.AddResource("http://cyclonedx.org/schema/"+name, doc)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	schema, err := c.Compile("http://cyclonedx.org/schema/bom-1.6.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	if err := schema.Validate(doc); err != nil {
		t.Error(err)
	}
}
