package reports

import (
	"encoding/xml"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"bottle.internal/probes"
)

// The elements of JUnit's XML that CI systems read, as https://github.com/testmoapp/junitxml lists them.
type (
	junitSuites struct {
		XMLName xml.Name `xml:"testsuites"`
		junitCounts
		Suite junitSuite `xml:"testsuite"`
	}
	junitCounts struct {
		Name     string `xml:"name,attr"`
		Tests    int    `xml:"tests,attr"`
		Failures int    `xml:"failures,attr"`
		Errors   int    `xml:"errors,attr"`
		Skipped  int    `xml:"skipped,attr"`
		Time     string `xml:"time,attr"` // seconds
	}
	junitSuite struct {
		junitCounts
		Timestamp  string          `xml:"timestamp,attr"`
		Properties []junitProperty `xml:"properties>property"`
		Cases      []junitCase     `xml:"testcase"`
	}
	junitProperty struct {
		Name  string `xml:"name,attr"`
		Value string `xml:"value,attr"`
	}
	junitCase struct {
		Name    string        `xml:"name,attr"`
		Class   string        `xml:"classname,attr"`
		Time    string        `xml:"time,attr"`
		Skipped *junitOutcome `xml:"skipped"`
		Error   *junitOutcome `xml:"error"`
		Failure *junitOutcome `xml:"failure"`
		Out     string        `xml:"system-out,omitempty"`
	}
	junitOutcome struct {
		Message string `xml:"message,attr"`
		Type    string `xml:"type,attr,omitempty"`
		Text    string `xml:",chardata"`
	}
)

// WriteJUnit writes r as JUnit's XML, one test case per probe: a leak and an allowance that does not work are failures, what is
// not known is an error, what does not apply is skipped, and what is exposed passes and names its waivers. Errors are w's.
func WriteJUnit(w io.Writer, r probes.Report) error {
	r = shown(r)
	suite := junitSuite{Timestamp: r.Started.UTC().Format("2006-01-02T15:04:05"), Properties: junitProperties(r)}
	for _, f := range r.Findings {
		suite.Cases = append(suite.Cases, junitCaseOf(f))
	}
	if why := beyond(r); why != "" {
		suite.Cases = append(suite.Cases, junitCase{Name: "report", Class: "report", Time: "0", Error: &junitOutcome{Message: why, Type: string(probes.Error)}})
	}
	suite.junitCounts = junitCount(suite.Cases)
	suite.Name, suite.Time = strings.TrimSpace(r.Engine+" "+r.Version), seconds(time.Duration(r.ElapsedMS)*time.Millisecond)
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	e := xml.NewEncoder(w)
	e.Indent("", "  ")
	if err := e.Encode(junitSuites{junitCounts: suite.junitCounts, Suite: suite}); err != nil {
		return err
	}
	_, err := io.WriteString(w, "\n")
	return err
}

func junitProperties(r probes.Report) []junitProperty {
	all := []junitProperty{
		{"engine", r.Engine}, {"version", r.Version}, {"backend", r.Backend}, {"topology", r.Topology},
		{"simulated", strconv.FormatBool(r.Simulated)}, {"profile", r.Profile}, {"worst", string(r.Worst())}, {"kit", r.Kit},
	}
	for _, p := range r.Policies() {
		all = append(all, junitProperty{p[0], p[1]})
	}
	return all
}

func junitCaseOf(f probes.Finding) junitCase {
	text := strings.Join(evidence(f), "\n")
	c := junitCase{Name: f.ID, Class: family(f.ID), Time: seconds(elapsed(f))}
	outcome := &junitOutcome{Message: f.Reason, Type: string(f.Verdict)}
	switch f.Verdict {
	case probes.Leak, probes.Overblocked:
		outcome.Text, c.Failure = text, outcome
	case probes.NotApplicable:
		outcome.Type = "" // skipped has none
		c.Skipped, c.Out = outcome, text
	case probes.Contained, probes.Exposed:
		c.Out = text
	default:
		outcome.Text, c.Error = text, outcome
	}
	return c
}

func junitCount(cases []junitCase) junitCounts {
	n := junitCounts{Tests: len(cases)}
	for _, c := range cases {
		switch {
		case c.Failure != nil:
			n.Failures++
		case c.Error != nil:
			n.Errors++
		case c.Skipped != nil:
			n.Skipped++
		}
	}
	return n
}

// elapsed is how long f's attempts took, one after the other.
func elapsed(f probes.Finding) time.Duration {
	var sum time.Duration
	for _, a := range f.Attempts {
		sum += a.Elapsed()
	}
	return sum
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.3f", d.Seconds()) }
