package probes

import (
	"fmt"
	"slices"
	"time"
)

// Schema is the version of Report's JSON form.
const Schema = 2

// A Report is what one run found.
type Report struct {
	Schema    int    `json:"schema"`
	Engine    string `json:"engine"`
	Version   string `json:"version"`
	Backend   string `json:"backend"`
	Topology  string `json:"topology"`
	Simulated bool   `json:"simulated"` // it proves the kit and not a boundary
	// Asked is the policy that was asked for, and Effective what is known of the one in force beyond that, as the site names them. Exposed
	// is what else of the host is in reach by it. Only the findings say what is enforced.
	Asked     []string `json:"policy_asked"`
	Effective []string `json:"policy_effective"`
	Exposed   []string `json:"exposed,omitempty"`
	// Allowed is the address of the allowed destination, which in a bottle is another one each time; "" is none.
	Allowed string `json:"allowed,omitempty"`
	// Kit is the digest of the kit that probed; "" is not known.
	Kit       string    `json:"kit,omitempty"`
	Started   time.Time `json:"started"`
	ElapsedMS int64     `json:"elapsed_ms"`
	Seed      uint64    `json:"seed,omitempty"`  // what was drawn at random was drawn by it; 0 in reports that drew nothing
	Guest     *Guest    `json:"guest,omitempty"` // nil if the guest gave no answer that counts
	Findings  []Finding `json:"findings"`        // one per probe, in the catalogue's order

	// Profile names what was demanded of the findings beyond the judge's rules, and Invalid says why the report as a whole can be
	// relied on for nothing; "" is no profile, and no such reason.
	Profile string `json:"profile,omitempty"`
	Invalid string `json:"invalid,omitempty"`
	// Fault is what went wrong with the run that no finding says: it did not end, or did not take away what it had made. Invalid says it
	// too, whatever the profile. "" is a run that came to its end.
	Fault string `json:"fault,omitempty"`
}

// Faulty is r of a run with which something went wrong.
func (r Report) Faulty(what string) Report {
	r.Fault, r.Invalid = what, what
	return r
}

// A Finding is what is known of one probe, and why.
type Finding struct {
	ID        string    `json:"id"`
	Severity  Severity  `json:"severity"`
	Expect    Expect    `json:"expect"`
	Verdict   Verdict   `json:"verdict"`
	Reason    string    `json:"reason"`
	Assurance Assurance `json:"assurance,omitempty"` // "" if it did not run
	// StoppedBy says who stopped the attempts, as far as witnesses agree: the policy, the enforcer by its log, the sidecar, the
	// guest's own kernel, nobody. "" is not known.
	StoppedBy string    `json:"stopped_by,omitempty"`
	Controls  []Control `json:"controls,omitempty"`
	Attempts  []Attempt `json:"attempts,omitempty"`
	Warnings  []string  `json:"warnings,omitempty"`
	// Simplest is the simplest attempt that still goes wrong, where simpler ones than the probe's own were tried, and Again the
	// line that repeats it from a shell; "" where there is none.
	Simplest string   `json:"simplest,omitempty"`
	Again    string   `json:"again,omitempty"`
	Waivers  []Waiver `json:"waivers,omitempty"` // of an exposed finding: those that cover it, together
}

func (r *rig) report() Report {
	report := Report{
		Schema: Schema, Engine: r.site.Engine, Version: r.site.Version, Backend: r.site.Backend, Topology: r.site.Topology,
		Simulated: r.site.Simulated, Asked: append([]string{}, r.site.Asked...), Effective: append([]string{}, r.site.Effective...),
		Exposed: slices.Clone(r.site.Exposed), Kit: r.opts.Kit, Started: r.started.UTC().Truncate(time.Millisecond), Seed: r.opts.Seed,
	}
	if ip := r.site.Allowed.Addr.Addr(); ip.IsValid() {
		report.Allowed = ip.String()
	}
	return report
}

// Policies are what the report says of the policy, in words, each with what it is: asked for, effective, or exposed.
func (r Report) Policies() [][2]string {
	var all [][2]string
	for _, part := range []struct {
		name  string
		lines []string
	}{{"policy asked for", r.Asked}, {"policy effective", r.Effective}, {"exposed", r.Exposed}} {
		for _, line := range part.lines {
			all = append(all, [2]string{part.name, line})
		}
	}
	return all
}

// Finding is the finding of the probe id. An id that is not in the report is an error: it must not read as green.
func (r Report) Finding(id string) (Finding, error) {
	for _, f := range r.Findings {
		if f.ID == id {
			return f, nil
		}
	}
	return Finding{}, fmt.Errorf("probes: no finding of %q in the report", id)
}

// Worst is the verdict that weighs most: leak, overblocked, error, inconclusive, exposed, contained, not applicable, in this
// order. A report of nothing, of nothing that was executed, or one that is invalid, is an error at least.
func (r Report) Worst() Verdict {
	worst := r.worst()
	if r.Invalid != "" && Error.Worse(worst) {
		return Error
	}
	return worst
}

// worst is Worst of the findings alone.
func (r Report) worst() Verdict {
	worst := NotApplicable
	for _, f := range r.Findings {
		if f.Verdict.Worse(worst) {
			worst = f.Verdict
		}
	}
	if worst == NotApplicable {
		return Error
	}
	return worst
}

// ExitCode is what a command says of the report: 0 clean, 1 a leak or an allowance that does not work, 3 inconclusive, be it one
// finding or so many that the report is invalid, 4 the prober failed, nothing was executed, or the report is invalid otherwise.
func (r Report) ExitCode() int {
	switch r.worst() {
	case Contained, Exposed:
		if r.Invalid == "" {
			return 0
		}
	case Leak, Overblocked:
		return 1
	case Inconclusive:
		return 3
	}
	return 4
}
