package killmatrix_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"bottle.internal/bottletest"
	"bottle.internal/internal/gobuild"
	"bottle.internal/internal/killing"
	"bottle.internal/probes/mutants"
	"bottle.internal/suites/internal/fixture"
)

// limit bounds all mutants together.
const limit = 8 * time.Minute

// some are the mutants to be run: all, unless $SMOLVM_SIM_VERSION, $BOTTLE_TOPOLOGY or $BOTTLE_MUTANTS, patterns of names with
// commas between them, ask for fewer.
func some() (list []mutants.Mutant, whole bool) {
	version, topology, names := os.Getenv("SMOLVM_SIM_VERSION"), os.Getenv("BOTTLE_TOPOLOGY"), os.Getenv("BOTTLE_MUTANTS")
	for _, m := range mutants.All() {
		m.On = slices.DeleteFunc(slices.Clone(m.On), func(b mutants.Base) bool {
			return version != "" && b.Version != version || topology != "" && b.Topology != topology
		})
		if len(m.On) > 0 && named(m.Name, names) {
			list = append(list, m)
		}
	}
	return list, version == "" && topology == "" && names == ""
}

func named(name, patterns string) bool {
	return patterns == "" || slices.ContainsFunc(strings.Split(patterns, ","), func(p string) bool {
		ok, err := filepath.Match(p, name)
		return ok && err == nil
	})
}

var _ = Describe("the kill matrix", Label("teeth"), Ordered, ContinueOnFailure, func() {
	list, whole := some()
	var matrix mutants.Matrix

	BeforeAll(func(ctx SpecContext) {
		home, err := killing.OpenHome(ctx, func(name, value string) { GinkgoT().Setenv(name, value) })
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(home.Close)
		var about []bottletest.Description
		matrix, about, err = killing.Run(ctx, GinkgoT().TempDir(), func(format string, args ...any) { GinkgoWriter.Printf(format+"\n", args...) }, list)
		for _, d := range slices.Compact(about) {
			fixture.Record(fixture.Entry, d)
		}
		Expect(err).NotTo(HaveOccurred())
		matrix.Kit, err = gobuild.Kit(ctx)
		Expect(err).NotTo(HaveOccurred())
		dir, err := killing.Write(matrix, whole)
		fmt.Printf("%s\nwritten to %s\n", matrix, dir)
		Expect(err).NotTo(HaveOccurred())
	}, NodeTimeout(limit))

	for _, m := range list {
		for _, on := range m.On {
			It(fmt.Sprintf("has %s killed on %s", m.Name, on), func() {
				i := slices.IndexFunc(matrix.Rows, func(r mutants.Row) bool { return r.Mutant.Name == m.Name && r.On == on })
				Expect(i).To(BeNumerically(">=", 0), "it was not run")
				row := matrix.Rows[i]
				Expect(row.Error).To(BeEmpty(), "nothing is known of it")
				Expect(row.Missed()).To(BeEmpty(), "%s", m.Breaks)
			})
		}
	}

	if whole {
		It("has every critical and high probe kill something", func() {
			Expect(matrix.Toothless(mutants.Exceptions)).To(BeEmpty())
		})
	}
})
