// Package certificate says under a signature what was found of a bottle, for whoever is about to launch the same: an in-toto statement
// (https://in-toto.io/Statement/v1) in a DSSE envelope, signed with ed25519.
package certificate

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"maps"
	"slices"
	"time"

	"bottle.internal/probes"
	"bottle.internal/probes/reports"
)

const (
	// StatementType is that of in-toto's statements (in-toto/attestation, spec/v1/statement.md).
	StatementType = "https://in-toto.io/Statement/v1"
	// PredicateType is what a certificate's predicate is.
	PredicateType = "https://bottle.internal/isolation/v1"
	// PayloadType is that of an envelope's payload (in-toto/attestation, spec/v1/envelope.md).
	PayloadType = "application/vnd.in-toto+json"
)

// A Statement is what is signed.
type Statement struct {
	Type          string    `json:"_type"`
	Subject       []Subject `json:"subject"`
	PredicateType string    `json:"predicateType"`
	Predicate     Predicate `json:"predicate"`
}

// A Subject is something that the statement is about, by its content.
type Subject struct {
	Name   string            `json:"name"`   // engine, guest image, agent, bundle
	Digest map[string]string `json:"digest"` // "sha256" and the sum in hex
}

// A Predicate is what was found.
type Predicate struct {
	Made time.Time `json:"made"`
	Launch
	Simulated bool              `json:"simulated"` // it is about the kit and not about a VM
	Kernel    string            `json:"kernel,omitempty"`
	Policy    []string          `json:"policy"` // asked for, what is known to be in force, and what is exposed by it
	Profile   string            `json:"profile,omitempty"`
	Verdict   probes.Verdict    `json:"verdict"`
	ExitCode  int               `json:"exitCode"`
	Invalid   string            `json:"invalid,omitempty"`
	Findings  []Finding         `json:"findings"`
	Waivers   []probes.Waiver   `json:"waivers"`
	Mutation  Mutation          `json:"mutation"`
	Report    map[string]string `json:"reportDigest"` // of the whole report's JSON
}

// A Launch is how a bottle is launched, beside what it is made of.
type Launch struct {
	Engine   string `json:"engine"` // with its version; a simulator's says that it is one
	Backend  string `json:"backend"`
	Topology string `json:"topology"`
	Asked    string `json:"asked"` // the policy, with a word in place of the bundle's address (reports.Asked)
}

// A Finding is one probe's outcome.
type Finding struct {
	ID        string           `json:"id"`
	Severity  probes.Severity  `json:"severity"`
	Verdict   probes.Verdict   `json:"verdict"`
	Assurance probes.Assurance `json:"assurance,omitempty"`
}

// A Mutation is how the kit that was used has done against bottles broken on purpose. The zero Mutation is that nothing is on record.
type Mutation struct {
	Kit    string `json:"kit,omitempty"`
	Killed int    `json:"killed"` // mutants that some probe told apart
	Total  int    `json:"total"`  // mutants that there are
}

// NewStatement states what report found of what has those digests, in hex, by name. report is the report as it was written.
func NewStatement(report probes.Report, digests map[string]string, m Mutation, now time.Time) (Statement, error) {
	text, err := json.Marshal(report)
	if err != nil {
		return Statement{}, err
	}
	sum := sha256.Sum256(text)
	p := Predicate{
		Made:      now.UTC().Truncate(time.Second),
		Launch:    Launch{report.Engine + " " + report.Version, report.Backend, report.Topology, reports.Asked(report)},
		Simulated: report.Simulated, Policy: slices.Concat(report.Asked, report.Effective, report.Exposed), Profile: report.Profile, Verdict: report.Worst(), ExitCode: report.ExitCode(),
		Invalid: report.Invalid, Waivers: []probes.Waiver{}, Mutation: m, Report: map[string]string{"sha256": hex.EncodeToString(sum[:])},
	}
	if report.Guest != nil {
		p.Kernel = report.Guest.Kernel
	}
	for _, f := range report.Findings {
		p.Findings = append(p.Findings, Finding{f.ID, f.Severity, f.Verdict, f.Assurance})
		p.Waivers = append(p.Waivers, f.Waivers...)
	}
	s := Statement{Type: StatementType, PredicateType: PredicateType, Predicate: p}
	for _, name := range slices.Sorted(maps.Keys(digests)) {
		s.Subject = append(s.Subject, Subject{name, map[string]string{"sha256": digests[name]}})
	}
	return s, nil
}
