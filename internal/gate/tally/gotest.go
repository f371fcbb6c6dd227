package tally

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// event is one line of "go test -json" (cmd/test2json).
type event struct {
	Action      string
	Package     string
	ImportPath  string // build events have this in Package's place
	Test        string
	Elapsed     float64
	Output      string
	FailedBuild string
}

// GoTest reads the events of "go test -json" from r to its end, writes to w one line for each package and the output of what
// failed as soon as it has, and returns the count. Of a test and its subtests the innermost count. The error is r's own; the
// tally up to there is valid.
func GoTest(r io.Reader, w io.Writer) (Tally, error) {
	g := goTest{w: w, packages: map[string]*goPackage{}, builds: map[string]string{}}
	in := bufio.NewReader(r)
	for {
		line, err := in.ReadString('\n')
		if line != "" {
			g.line(line)
		}
		if errors.Is(err, io.EOF) {
			return g.end(), nil
		}
		if err != nil {
			return g.end(), fmt.Errorf("tally: reading test events: %w", err)
		}
	}
}

type goTest struct {
	w        io.Writer
	tally    Tally
	packages map[string]*goPackage
	builds   map[string]string // what the compiler said of a package
}

// A goPackage is one package that has started and not ended.
type goPackage struct {
	name   string
	output string // of the package as a whole
	tests  map[string]*goCase
	tally  Tally
}

// A goCase is one test of a package.
type goCase struct {
	output string
	up     *goCase // the test this one is a subtest of, nil for none
	parent bool    // has subtests
	failed bool    // it or a subtest has failed, and that has been counted
	ended  bool
}

func (g *goTest) line(line string) {
	var e event
	if err := json.Unmarshal([]byte(line), &e); err != nil || e.Action == "" {
		_, _ = io.WriteString(g.w, line) // not an event: the go command itself is speaking
		return
	}
	switch {
	case e.Package == "" && e.Action == "build-output":
		g.builds[e.ImportPath] += e.Output
	case e.Package == "":
	case e.Test == "":
		g.packageEvent(e)
	default:
		g.pkg(e.Package).testEvent(e, g.w)
	}
}

func (g *goTest) pkg(name string) *goPackage {
	p := g.packages[name]
	if p == nil {
		p = &goPackage{name: name, tests: map[string]*goCase{}}
		g.packages[name] = p
	}
	return p
}

func (g *goTest) packageEvent(e event) {
	p := g.pkg(e.Package)
	switch e.Action {
	case "output":
		p.output += e.Output
	case "pass", "fail", "skip": // it is skipped when it has no test files
		p.end(e.Action == "fail", g.builds[e.FailedBuild], g.w)
		g.close(p, e.Elapsed)
	}
}

func (g *goTest) close(p *goPackage, seconds float64) {
	word := "ok  "
	if len(p.tally.Failures) > 0 {
		word = "FAIL"
	}
	if p.tally.Executed()+len(p.tally.Skips) > 0 {
		_, _ = fmt.Fprintf(g.w, "%s %6.1fs  %s  %s\n", word, seconds, p.name, &p.tally)
	}
	g.tally.Add(p.tally)
	delete(g.packages, p.name)
}

// end counts what was under way when the events stopped.
func (g *goTest) end() Tally {
	for _, name := range sortedKeys(g.packages) {
		p := g.packages[name]
		p.end(true, "", g.w)
		g.close(p, 0)
	}
	return g.tally
}

func (p *goPackage) testEvent(e event, w io.Writer) {
	c := p.test(e.Test)
	switch e.Action {
	case "output":
		c.output += e.Output
	case "pass":
		c.ended = true
		if !c.parent {
			p.tally.Passed++
		}
	case "skip":
		c.ended = true
		p.tally.Skip(p.name, e.Test, said(c.output))
	case "fail":
		c.ended = true
		p.fail(e.Test, c.output, w)
	}
}

// test is the case of that name, known to its parent.
func (p *goPackage) test(name string) *goCase {
	c := p.tests[name]
	if c == nil {
		c = &goCase{up: p.above(name)}
		p.tests[name] = c
		if c.up != nil {
			c.up.parent = true
		}
	}
	return c
}

// above is the test that name is a subtest of, nil for none. A subtest's own name may hold slashes, so it need not be the one
// behind the last of them; it has begun before.
func (p *goPackage) above(name string) *goCase {
	for i := strings.LastIndexByte(name, '/'); i > 0; i = strings.LastIndexByte(name[:i], '/') {
		if c := p.tests[name[:i]]; c != nil {
			return c
		}
	}
	return nil
}

// fail counts a failure once: a parent fails with its subtest, and that is one failure.
func (p *goPackage) fail(name, output string, w io.Writer) {
	if p.test(name).failed {
		return
	}
	p.tally.Fail(p.name, name, said(output))
	_, _ = fmt.Fprintf(w, "--- FAIL: %s: %s\n%s\n", p.name, name, strings.TrimRight(output, "\n"))
	for c := p.test(name); c != nil; c = c.up {
		c.failed = true
	}
}

// end judges the package as a whole: a test that has not ended has failed, innermost first, and a package that failed without a
// failing test (no build, TestMain, a crash) is a failure of its own.
func (p *goPackage) end(failed bool, build string, w io.Writer) {
	names := sortedKeys(p.tests)
	slices.Reverse(names) // "A/b" before "A"
	for _, name := range names {
		if c := p.tests[name]; !c.ended {
			p.fail(name, c.output+"did not end\n", w)
		}
	}
	if failed && len(p.tally.Failures) == 0 {
		reason := said(build + p.output)
		p.tally.Fail(p.name, "", reason)
		_, _ = fmt.Fprintf(w, "--- FAIL: %s\n%s\n", p.name, reason)
	}
}

// said is output without the lines the harness writes around it.
func said(output string) string {
	var keep []string
	for line := range strings.Lines(output) {
		text := strings.TrimSpace(line)
		if text == "" || text == "PASS" || text == "FAIL" || strings.HasPrefix(text, "=== ") || strings.HasPrefix(text, "--- ") ||
			strings.HasPrefix(text, "FAIL\t") {
			continue
		}
		keep = append(keep, text)
	}
	return strings.Join(keep, "\n")
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
