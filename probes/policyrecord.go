package probes

import (
	"context"
	"net/netip"
)

const (
	actPolicy       = "policy"
	policyBackend   = "policy.backend"
	policyEffective = "policy.effective-vs-declared"
)

// A PolicyRecord is what the engine's own record says of the sandbox's policy, as far as it tells.
type PolicyRecord struct {
	// Witness is who says so.
	Witness string
	// Backend is TSI, VirtioNet, or "" where the record does not tell.
	Backend string
	// Allow is all that is allowed. Told says that the record tells: without it Allow means nothing.
	Allow []netip.Prefix
	Told  bool
}

// policyProbes compare what was asked for, what the engine has on record, and what is seen from inside.
var policyProbes = []Probe{
	{
		ID: policyBackend, Family: "policy", Severity: High, Expect: Contain, act: actPolicy, most: L2,
		lacks: func(s Site) string {
			if s.Backend != TSI && s.Backend != VirtioNet {
				return "the site does not say which backend carries its network"
			}
			return ""
		},
		What: "Find out which backend denies, by the errno of a denial that only the policy gives, by the guest's interfaces and by the engine's record, and compare it with the one that is declared.",
		Why: "Every other finding is read by what a denial of the declared backend looks like. On another one the same errno means something else, and one of the two has been seen not to " +
			"enforce the policy at all.",
		Control: "The denial is that of an address that nobody has, in a batch in which the allowed destination echoes.",
		Remedy:  "Name the backend when the sandbox is launched, and look at which release runs it.",
		Source:  "smolvm v1.9.3 network/launch.rs; docker's policy check, which asks itself", Where: "On tsi and virtio-net.",
	},
	{
		ID: policyEffective, Family: "policy", Severity: High, Expect: Contain, act: actPolicy, most: L2,
		lacks: func(s Site) string {
			switch {
			case s.Allow == nil:
				return "nobody says what was asked to be allowed"
			case s.Record == nil:
				return s.withheld("the engine keeps no record of the policy that can be read")
			}
			return ""
		},
		What:    "Compare the allowlist that was asked for with the engine's own record of it, and both with what the guest reaches.",
		Why:     "What was asked for is not what is in force: lists have been dropped, widened and added to between the command line and the record, and nobody was told.",
		Control: "The allowed destination is reached, and its neighbours and another address of the host's are not, each with the controls of its own probe.",
		Remedy:  "Read the record back after each launch, and refuse a machine whose record is not what was asked for.",
		Source:  "smolvm#1212; smolvm#892; sbx-releases#546 (the policy's own check says denied)", Where: "Where the engine's record tells the allowlist: smolvm from 1.3.0 on, by its API.",
	},
}

// evidence are the probes whose findings are looked at.
var evidence = []string{"net.tcp.allowed.v4", "net.tcp.testnet.v4", "net.tcp.canary.v4", "net.tcp.allow-neighbour.v4"}

// playPolicy reads the record, and looks at what was found from inside; what was not asked yet is asked now.
func playPolicy(ctx context.Context, s *stage, wanted []Probe) []Finding {
	seen, err := s.observe(ctx, evidence)
	if err != nil {
		return failing(wanted, "what is seen from inside could not be asked: "+plainText(err.Error()))
	}
	q := policyQuestion{backend: s.site.Backend, declared: s.site.Allow, seen: seen.Findings, kit: s.opts.Kit}
	if seen.Guest != nil {
		q.interfaces = seen.Guest.Interfaces
	}
	if s.site.Record != nil {
		if q.record, err = s.site.Record(ctx); err != nil {
			return failing(wanted, "the engine's record could not be read: "+plainText(err.Error()))
		}
	}
	var all []Finding
	for _, p := range wanted {
		q.probe, q.kills = p, s.opts.Kills[p.ID]
		switch {
		case p.ID == policyBackend:
			all = append(all, q.judgeBackend())
		case !q.record.Told:
			all = append(all, absent(p, absence{why: q.record.Witness + " does not tell the allowlist"}))
		default:
			all = append(all, q.judgeEffective())
		}
	}
	return all
}

// observe is a report with findings of those probes: the run's, if it asked them.
func (s *stage) observe(ctx context.Context, ids []string) (Report, error) {
	var missing []Probe
	for _, id := range ids {
		if _, err := s.report.Finding(id); err != nil {
			p, err := Lookup(id)
			if err != nil {
				return Report{}, err
			}
			missing = append(missing, p)
		}
	}
	if len(missing) == 0 {
		return s.report.only(ids), nil
	}
	report, _, err := runBatch(ctx, s.site, s.opts, missing, nil)
	s.leaked(report.Findings)
	report.Findings = append(report.Findings, s.report.only(ids).Findings...)
	return report, err
}

// only is the report with the findings of those probes alone.
func (r Report) only(ids []string) Report {
	found := r.Findings
	r.Findings = nil
	for _, id := range ids {
		for _, f := range found {
			if f.ID == id {
				r.Findings = append(r.Findings, f)
			}
		}
	}
	return r
}
