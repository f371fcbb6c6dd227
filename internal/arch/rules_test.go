package arch

import (
	"fmt"
	"slices"
	"strings"
)

// A rule bans imports. Patterns are as in tree.matches.
type rule struct {
	who  []string // the packages it is about
	but  []string // except these
	ban  []string // what they must not import
	only []string // if set, they must not import anything else either
	// direct looks at the imports that stand in the files, not at what these reach in turn.
	direct bool
	// tests looks at test files too, at what stands in them.
	tests bool
	why   string
}

// The direction of imports. A line here is a decision: change it with its reason.
var rules = []rule{
	{
		who: []string{"./smolvm"}, only: []string{"std", "./smolvm/internal/..."}, ban: []string{"testing"},
		why: "the client is linked into people's programs: it costs them the standard library and registers no test flags",
	},
	{
		who: []string{"./smolvm/sim/...", "./cmd/smolvm-sim"}, ban: []string{"./smolvm", "./probes/...", "./bundle/...", "./bottletest/..."},
		why: "the simulator is the other side of the command line: code it shared with the client would share the client's mistakes",
	},
	{
		who: []string{"./..."}, but: []string{"./smolvm/sim/...", "./cmd/smolvm-sim"}, ban: []string{"gvisor.dev/gvisor/..."},
		why: "the netstack is the simulator's, and nobody who imports the kit pays for it",
	},
	{
		who: []string{"./probes/..."}, but: []string{"./probes/profiles", "./probes/reports"}, ban: []string{"testing"},
		only: []string{"std", "golang.org/x/sys/...", "./probes/...", "./internal/echo", "./internal/owner", "github.com/miekg/dns", "golang.org/x/net/..."},
		why:  "probes judge any sandbox: they never learn that a VM, a bundle or a test exists; miekg/dns, and x/net with it, is the DNS canary's",
	},
	{
		who: []string{"./probes/boundary"}, only: []string{"std"}, ban: []string{"testing"},
		why: "a model of a policy, and what is derived from it, is pure: a seed repeats it, and whoever has another prober can take it",
	},
	{
		who: []string{"./probes/profiles"}, ban: []string{"testing"},
		only: []string{"std", "golang.org/x/sys/...", "./probes/...", "./internal/echo", "./internal/owner", "go.yaml.in/yaml/v3", "github.com/miekg/dns", "golang.org/x/net/..."},
		why:  "what is accepted of a report is read from YAML and knows of engines what a file says of their releases, no more",
	},
	{
		who: []string{"./probes/reports"}, ban: []string{"testing"},
		only: []string{"std", "golang.org/x/sys/...", "./probes/...", "./internal/echo", "./internal/owner", "go.yaml.in/yaml/v3", "github.com/owenrumney/go-sarif/v3/...", "github.com/xeipuuv/...", "github.com/google/uuid", "github.com/miekg/dns", "golang.org/x/net/..."},
		why:  "a rendering is made of the report alone; YAML is what stands beneath TAP's test points, and go-sarif brings xeipuuv's validator and uuid",
	},
	{
		who: []string{"./probes/..."}, but: []string{"./probes/profiles"}, ban: []string{"./probes/profiles"},
		why: "the judge has no waivers: who judges must not know what will be forgiven",
	},
	{
		who: []string{"./probes/..."}, but: []string{"./probes/reports"}, ban: []string{"./probes/reports"},
		why: "a report is written down after it is judged: how it looks in a browser or to a CI system must not reach into what it says, nor its libraries into who only probes",
	},
	{
		who: []string{"./probes/agent/...", "./cmd/bottle-agent"}, only: []string{"std", "golang.org/x/sys/...", "./probes/agent/...", "./internal/echo"}, ban: []string{"testing"},
		why: "the agent is copied into every guest: static, at most 4 MB, nothing of the host's side",
	},
	{
		who: []string{"./bundle/daemon/...", "./cmd/bottle-bundle"}, ban: []string{"testing", "github.com/testcontainers/testcontainers-go/...", "github.com/moby/moby/..."},
		why: "this side runs in the container; what drives containers stays outside",
	},
	{
		who: []string{"./bundle/..."}, ban: []string{"./smolvm/...", "./probes/...", "./bottletest/..."},
		why: "a bundle is a container and knows no guest; bottletest alone knows both",
	},
	{
		who: []string{"./bottletest/..."}, ban: []string{"testing"}, direct: true,
		why: "bottletest has its own TB; testing reaches it through testcontainers-go only, which we cannot help",
	},
	{
		who: []string{"./bottletest/..."}, ban: []string{"./smolvm/sim/...", "./smolvm/smolvmtest", "./internal/probecli"},
		why: "an engine is a program behind its command line, the simulator too",
	},
	{
		who: []string{"./..."}, but: []string{"./suites/..."}, ban: []string{"github.com/onsi/ginkgo/v2/...", "github.com/onsi/gomega/..."}, tests: true,
		why: "only suites speak Ginkgo; everything else serves go test as well",
	},
	{
		who: []string{"./..."}, but: []string{"./suites/..."}, ban: []string{"./suites/..."}, tests: true,
		why: "suites are for other repositories; what two suites share and a package needs belongs below the suites",
	},
	{
		who: []string{"./..."}, ban: []string{"./cmd/..."}, direct: true, tests: true,
		why: "a command is a main function; what it does lives in a package and is tested there",
	},
	{
		who: []string{"./..."}, but: []string{"./bundle/...", "./bottletest/...", "./suites/...", "./internal/killing"}, ban: []string{"github.com/testcontainers/testcontainers-go/..."}, direct: true, tests: true,
		why: "the container library is bundle's; bottletest, suites and who breaks bundles on purpose name its options",
	},
	{
		who: []string{"./..."}, ban: []string{"./internal/golden"}, direct: true,
		why: "it registers -update, and is for test files",
	},
	{
		who: []string{"./..."}, ban: []string{"./smolvm/smolvmtest"}, direct: true,
		why: "the fake is for test files",
	},
	{
		who: []string{"./..."}, ban: []string{"github.com/stretchr/testify/..."}, direct: true, tests: true,
		why: "go-cmp in unit tests, Gomega in suites",
	},
	{
		who: []string{"./internal/gate/..."}, only: []string{"std", "./internal/gate/..."}, ban: []string{"testing"},
		why: "the gate has to build when the kit does not, or it could not say so",
	},
	{
		who: []string{"./internal/echo", "./internal/owner"}, only: []string{"std", "golang.org/x/sys/..."}, ban: []string{"testing"},
		why: "what guests, containers and hosts share is small",
	},
}

// violations lists what breaks r, and what r names in vain.
func (t *tree) violations(r rule) []string {
	var found []string
	for _, p := range t.own {
		if !t.matchesAny(r.who, p.ImportPath) || t.matchesAny(r.but, p.ImportPath) {
			continue
		}
		for _, path := range t.imports(r, p) {
			if path != p.ImportPath && t.breaks(r, path) {
				found = append(found, fmt.Sprintf("%s imports %s: %s", p.ImportPath, path, r.why))
			}
		}
	}
	slices.Sort(found)
	return slices.Compact(found)
}

func (t *tree) imports(r rule, p listed) []string {
	paths := p.Imports
	if !r.direct {
		paths = slices.Concat(p.Imports, p.Deps)
	}
	if r.tests {
		paths = slices.Concat(paths, p.TestImports, p.XTestImports)
	}
	return paths
}

func (t *tree) breaks(r rule, path string) bool {
	return t.matchesAny(r.ban, path) || len(r.only) > 0 && !t.matchesAny(r.only, path)
}

// stale lists the patterns of r that match nothing there is.
func (t *tree) stale(r rule) []string {
	var found []string
	for _, pattern := range slices.Concat(r.who, r.but, r.ban, r.only) {
		matched := pattern == "std"
		for path := range t.known {
			matched = matched || t.matches(pattern, path)
		}
		if !matched {
			found = append(found, fmt.Sprintf("%s matches no package any more; rule: %s", pattern, r.why))
		}
	}
	return found
}

// example is an import path that pattern matches.
func (t *tree) example(pattern string) string {
	if pattern == "." || strings.HasPrefix(pattern, "./") {
		pattern = t.module + pattern[1:]
	}
	return strings.Replace(pattern, "/...", "/x", 1)
}
