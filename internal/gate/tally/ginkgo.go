package tally

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// A SuiteReport is one Ginkgo suite's own account of one run (the JSON of types.Report, in the parts that are judged here).
type SuiteReport struct {
	SuiteDescription           string
	SuiteSucceeded             bool
	SuiteHasProgrammaticFocus  bool
	SpecialSuiteFailureReasons []string
	PreRunStats                struct{ TotalSpecs, SpecsThatWillRun int }
	RunTime                    time.Duration
	SpecReports                []specReport
}

type specReport struct {
	ContainerHierarchyTexts []string
	LeafNodeType            string // "It" is a spec, everything else a setup node
	LeafNodeText            string
	State                   string
	Failure                 struct {
		Message, ForwardedPanic string
		Location                struct {
			FileName   string
			LineNumber int
		}
	}
	ReportEntries []struct {
		Name  string
		Value struct{ AsJSON string }
	}
}

// Ginkgo parses a JSON report. It is an error if there is not exactly one suite in it: one process runs one.
func Ginkgo(report []byte) (*SuiteReport, error) {
	var suites []*SuiteReport
	if err := json.Unmarshal(report, &suites); err != nil {
		return nil, fmt.Errorf("tally: parsing a Ginkgo report: %w", err)
	}
	if len(suites) != 1 || suites[0] == nil {
		return nil, fmt.Errorf("tally: a Ginkgo report of %d suites, want 1", len(suites))
	}
	return suites[0], nil
}

// Tally counts the specs, and as one failure more each setup node that failed. A suite that did not succeed although every
// spec did (pending specs, a focus that hides specs, a timeout between specs) is a failure of its own.
func (r *SuiteReport) Tally() Tally {
	var t Tally
	for _, s := range r.SpecReports {
		r.count(&t, s)
	}
	if len(t.Failures) == 0 && (!r.SuiteSucceeded || r.SuiteHasProgrammaticFocus) {
		t.Fail(r.SuiteDescription, "", r.whyNot())
	}
	return t
}

// Ran is how many specs were executed: setup nodes are none, and what was skipped was not.
func (r *SuiteReport) Ran() int {
	n := 0
	for _, s := range r.SpecReports {
		if s.LeafNodeType == "It" && s.State != "skipped" && s.State != "pending" {
			n++
		}
	}
	return n
}

func (r *SuiteReport) count(t *Tally, s specReport) {
	spec := s.LeafNodeType == "It"
	switch s.State {
	case "passed":
		if spec {
			t.Passed++
		}
	case "skipped":
		if spec {
			t.Skip(r.SuiteDescription, s.name(), r.whySkipped(s))
		}
	case "pending":
		t.Skip(r.SuiteDescription, s.name(), "pending")
	default:
		t.Fail(r.SuiteDescription, s.name(), s.whyFailed())
	}
}

// name is the spec's full text, or for a setup node its kind.
func (s specReport) name() string {
	texts := append(append([]string{}, s.ContainerHierarchyTexts...), s.LeafNodeText)
	if s.LeafNodeType != "It" {
		texts = append(texts, "["+s.LeafNodeType+"]")
	}
	return strings.TrimSpace(strings.Join(texts, " "))
}

func (s specReport) whyFailed() string {
	why := s.State
	for _, part := range []string{s.Failure.Message, s.Failure.ForwardedPanic} {
		if part != "" {
			why += ": " + part
		}
	}
	if s.Failure.Location.FileName != "" {
		why += fmt.Sprintf("\n%s:%d", s.Failure.Location.FileName, s.Failure.Location.LineNumber)
	}
	return why
}

// whySkipped is the spec's own reason, else that of the setup node that skipped the suite, else that it was not selected.
func (r *SuiteReport) whySkipped(s specReport) string {
	if s.Failure.Message != "" {
		return s.Failure.Message
	}
	for _, node := range r.SpecReports {
		if node.LeafNodeType != "It" && node.State == "skipped" && node.Failure.Message != "" {
			return node.Failure.Message
		}
	}
	return "not selected"
}

func (r *SuiteReport) whyNot() string {
	reasons := r.SpecialSuiteFailureReasons
	if r.SuiteHasProgrammaticFocus {
		reasons = append([]string{"a focused spec (FIt, FDescribe) hides the others"}, reasons...)
	}
	if len(reasons) == 0 {
		return "the suite failed and does not say why"
	}
	return strings.Join(reasons, "; ")
}

// Entries decodes the report entries called name into T, in order, wherever in the suite they were added. The value may be
// the object itself or its JSON text.
func Entries[T any](r *SuiteReport, name string) ([]T, error) {
	var all []T
	for _, s := range r.SpecReports {
		for _, e := range s.ReportEntries {
			if e.Name != name {
				continue
			}
			var v T
			if err := json.Unmarshal(entryJSON(e.Value.AsJSON), &v); err != nil {
				return all, fmt.Errorf("tally: report entry %q of %q: %w", name, s.name(), err)
			}
			all = append(all, v)
		}
	}
	return all, nil
}

// entryJSON unwraps a value that is JSON text inside a JSON string.
func entryJSON(value string) []byte {
	var text string
	if json.Unmarshal([]byte(value), &text) == nil {
		return []byte(text)
	}
	return []byte(value)
}
