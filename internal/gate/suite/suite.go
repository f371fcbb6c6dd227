// Package suite builds the kit's Ginkgo suites, runs each against every personality of the host's engine, and holds their
// reports to what they claim: a run that cannot say what it was about has proven nothing.
package suite

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"

	"bottle.internal/internal/gate/proc"
)

// Teeth is the suite that breaks bottles on purpose. It is a stage of its own and no part of an integration run.
const Teeth = "teeth"

// Conformance is the suite that asks the whole catalogue. It is a stage of its own too: what it asks of one release it need not ask of
// every release in between.
const Conformance = "conformance"

// KillMatrix is the suite that asks the whole catalogue of every bottle that is broken on purpose. It is a part of the stage of Teeth,
// and one run of it launches all variants of a bottle that it needs.
const KillMatrix = "kill-matrix"

// apart are the suites that an integration run leaves to stages of their own.
var apart = []string{Teeth, Conformance, KillMatrix}

// A Suite is one package of Ginkgo specs.
type Suite struct {
	Name       string // the directory below suites/, such as "loopback-refused"
	ImportPath string
	Dir        string
}

// List finds the suites of the module in root: the packages below suites/ whose tests import Ginkgo.
func List(ctx context.Context, root string) ([]Suite, error) {
	out, err := proc.Output(ctx, root, nil, "go", "list", "-e", "-json=ImportPath,Dir,TestImports,XTestImports", "./suites/...")
	if err != nil {
		return nil, fmt.Errorf("suite: listing the suites: %w", err)
	}
	var all []Suite
	for dec := json.NewDecoder(strings.NewReader(out)); ; {
		var p struct {
			ImportPath, Dir           string
			TestImports, XTestImports []string
		}
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return all, nil
		} else if err != nil {
			return nil, fmt.Errorf("suite: listing the suites: %w", err)
		}
		if slices.Contains(append(p.TestImports, p.XTestImports...), "github.com/onsi/ginkgo/v2") {
			all = append(all, Suite{Name: path.Base(p.ImportPath), ImportPath: p.ImportPath, Dir: p.Dir})
		}
	}
}

// Select returns the suites of that name out of all, or for "" all but those that have a stage of their own. An unknown name is an error that lists the known.
func Select(all []Suite, name string) ([]Suite, error) {
	var some []Suite
	var known []string
	for _, s := range all {
		known = append(known, s.Name)
		if s.Name == name || name == "" && !slices.Contains(apart, s.Name) {
			some = append(some, s)
		}
	}
	if len(some) == 0 && name != "" {
		return nil, fmt.Errorf("suite: there is no suite %q; there are %s", name, strings.Join(known, ", "))
	}
	if len(some) == 0 {
		return nil, errors.New("suite: there are no suites below suites/")
	}
	return some, nil
}
