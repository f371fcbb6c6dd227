package main

import (
	"cmp"
	"debug/buildinfo"
	"fmt"
	"io"
	"runtime/debug"
	"slices"
	"strings"

	cdx "github.com/CycloneDX/cyclonedx-go"

	"bottle.internal/internal/gobuild"
)

// A bill is the material of one bottle-probe: of the program itself and of what it carries. It is gathered from what the linker wrote into the
// binaries, not from go.mod, which has more. It has no time and no random number: the same release has the same bill.
type bill struct {
	bom   *cdx.BOM
	known map[string]bool
}

// newBill is the bill of probe, which carries inside.
func newBill(r gobuild.Release, probe product, inside []product) (*bill, error) {
	b := &bill{cdx.NewBOM(), make(map[string]bool)}
	b.bom.Components, b.bom.Dependencies = &[]cdx.Component{}, &[]cdx.Dependency{}
	main, needs, err := b.program(r, probe)
	if err != nil {
		return nil, err
	}
	main.Licenses = &cdx.Licenses{{License: &cdx.License{ID: "Apache-2.0"}}}
	b.bom.Metadata = &cdx.Metadata{Component: &main}
	for _, p := range inside {
		c, itsNeeds, err := b.program(r, p)
		if err != nil {
			return nil, err
		}
		b.add(c)
		b.depends(c.BOMRef, itsNeeds)
		needs = append(needs, c.BOMRef)
	}
	b.depends(main.BOMRef, needs)
	slices.SortFunc(*b.bom.Components, func(a, c cdx.Component) int { return cmp.Compare(a.BOMRef, c.BOMRef) })
	slices.SortFunc(*b.bom.Dependencies, func(a, c cdx.Dependency) int { return cmp.Compare(a.Ref, c.Ref) })
	return b, nil
}

// program is p as a component, and the references of the modules it was linked from, which are added.
func (b *bill) program(r gobuild.Release, p product) (cdx.Component, []string, error) {
	info, err := buildinfo.ReadFile(p.path)
	if err != nil {
		return cdx.Component{}, nil, err
	}
	hash, err := fileSum(p.path)
	if err != nil {
		return cdx.Component{}, nil, err
	}
	needs := []string{b.module(&debug.Module{Path: "std", Version: info.GoVersion})}
	for _, m := range info.Deps {
		needs = append(needs, b.module(m))
	}
	return cdx.Component{
		BOMRef: fmt.Sprintf("%s-%s-%s", p.Command, p.GOOS, p.GOARCH), Type: cdx.ComponentTypeApplication, Name: p.Command, Version: r.Version,
		Hashes:     &[]cdx.Hash{{Algorithm: cdx.HashAlgoSHA256, Value: hash}},
		Properties: &[]cdx.Property{{Name: "bottle:platform", Value: p.GOOS + "/" + p.GOARCH}, {Name: "bottle:kit", Value: r.Kit}, {Name: "bottle:commit", Value: r.Commit}},
	}, needs, nil
}

// module adds m, or what was taken in its place, and returns its reference.
func (b *bill) module(m *debug.Module) string {
	if m.Replace != nil {
		m = m.Replace
	}
	version := m.Version
	if m.Path == "std" {
		version = strings.TrimPrefix(version, "go") // such as the vulnerability databases have it
	}
	purl := "pkg:golang/" + m.Path + "@" + strings.ReplaceAll(version, "+", "%2B")
	c := cdx.Component{BOMRef: purl, Type: cdx.ComponentTypeLibrary, Name: m.Path, Version: version, PackageURL: purl}
	if m.Sum != "" {
		c.Properties = &[]cdx.Property{{Name: "bottle:go.sum", Value: m.Sum}} // a sum of sums: no hash of any file
	}
	b.add(c)
	return purl
}

// add adds c once.
func (b *bill) add(c cdx.Component) {
	if !b.known[c.BOMRef] {
		b.known[c.BOMRef] = true
		*b.bom.Components = append(*b.bom.Components, c)
	}
}

func (b *bill) depends(ref string, needs []string) {
	slices.Sort(needs)
	needs = slices.Compact(needs)
	*b.bom.Dependencies = append(*b.bom.Dependencies, cdx.Dependency{Ref: ref, Dependencies: &needs})
}

// write writes the bill as CycloneDX JSON, of a version that most readers know.
func (b *bill) write(w io.Writer) error {
	return cdx.NewBOMEncoder(w, cdx.BOMFileFormatJSON).SetPretty(true).EncodeVersion(b.bom, cdx.SpecVersion1_6)
}
