// Package tally counts what test runs did: what passed, what failed and why, what was skipped and why.
//
// It reads the two machine formats there are, the events of "go test -json" and Ginkgo's JSON report, and errs on the side of
// failure: a package that did not build, a test that never ended, a suite that broke before its first spec and an outcome it does
// not know each count as failed.
package tally

import (
	"fmt"
	"strings"
)

// A Case is one test that did not simply pass.
type Case struct {
	Group  string // the package or the suite
	Name   string // the test or the spec; "" is the group as a whole
	Reason string // what it said, without the harness's own lines; "" when it said nothing
}

// String is "group: name" or the group alone.
func (c Case) String() string {
	if c.Name == "" {
		return c.Group
	}
	return c.Group + ": " + c.Name
}

// A Tally is the outcome of any number of tests. The zero Tally is of none. It is not safe for concurrent use.
type Tally struct {
	Passed   int
	Failures []Case
	Skips    []Case
}

// Executed is how many tests ran to a verdict. A run that executed none has proven nothing.
func (t *Tally) Executed() int { return t.Passed + len(t.Failures) }

// Fail adds one failure.
func (t *Tally) Fail(group, name, reason string) {
	t.Failures = append(t.Failures, Case{group, name, strings.TrimSpace(reason)})
}

// Skip adds one skip.
func (t *Tally) Skip(group, name, reason string) {
	t.Skips = append(t.Skips, Case{group, name, strings.TrimSpace(reason)})
}

// Add adds everything in u.
func (t *Tally) Add(u Tally) {
	t.Passed += u.Passed
	t.Failures = append(t.Failures, u.Failures...)
	t.Skips = append(t.Skips, u.Skips...)
}

// String is "N passed, N failed, N skipped", the form that tools read.
func (t *Tally) String() string {
	return fmt.Sprintf("%d passed, %d failed, %d skipped", t.Passed, len(t.Failures), len(t.Skips))
}
