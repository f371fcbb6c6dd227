package probes

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// A policyQuestion is what the judge may look at for what is said of a policy: who declared what, the engine's record, and findings.
type policyQuestion struct {
	probe      Probe
	backend    string
	declared   []netip.Prefix
	record     PolicyRecord
	seen       []Finding
	interfaces []string // of the guest, by its word
	kills      []string
	kit        string
}

// A testifier is one who says which backend it is.
type testifier struct{ who, says string }

// judgeBackend compares who says which backend it is. It is a pure function.
func (q policyQuestion) judgeBackend() Finding {
	var all, against []testifier
	for _, w := range []testifier{q.byErrno(), q.byInterfaces(), {q.record.Witness, q.record.Backend}} {
		if w.says == "" {
			continue
		}
		all = append(all, w)
		if w.says != q.backend {
			against = append(against, w)
		}
	}
	r := rule(Contained, "%s is declared, and %s", q.backend, testimonies(all))
	switch denial := q.byErrno(); {
	case len(against) > 0:
		r = rule(Leak, "%s is declared, and %s", q.backend, testimonies(against))
	case denial.says == "":
		r = rule(Inconclusive, "no denial that only the policy gives was seen: %s", denial.who)
	}
	agreed := held("%s", testimonies(all))
	if len(against) > 0 || len(all) < 2 {
		agreed = failed("they are not two, or do not agree: %s", testimonies(all))
	}
	return q.finding(r, agreed, "net.tcp.testnet.v4")
}

func testimonies(all []testifier) string {
	var text []string
	for _, w := range all {
		text = append(text, w.who+" says "+w.says)
	}
	return strings.Join(text, ", ")
}

// byErrno reads the denials of an address that nobody has. Without one, who says why.
func (q policyQuestion) byErrno() testifier {
	i := slices.IndexFunc(q.seen, func(f Finding) bool { return f.ID == "net.tcp.testnet.v4" })
	if i < 0 || len(q.seen[i].Attempts) == 0 {
		return testifier{who: "it was not tried"}
	}
	backend := ""
	for _, a := range q.seen[i].Attempts {
		is := map[string]string{"EACCES": TSI, "ECONNREFUSED": VirtioNet}[a.Errno]
		if is == "" || backend != "" && is != backend {
			return testifier{who: a.String()}
		}
		backend = is
	}
	return testifier{"a denial by " + q.seen[i].Attempts[0].Errno, backend}
}

// byInterfaces: on virtio-net a guest has an Ethernet interface, and on tsi it needs none.
func (q policyQuestion) byInterfaces() testifier {
	for _, text := range q.interfaces {
		if name, _, _ := strings.Cut(text, " "); strings.HasPrefix(name, "eth") || strings.HasPrefix(name, "en") {
			return testifier{"the guest's interface " + name, VirtioNet}
		}
	}
	if len(q.interfaces) == 0 {
		return testifier{}
	}
	return testifier{"a guest without an Ethernet interface", TSI}
}

// judgeEffective compares what was asked for with the record and with what was seen. It is a pure function.
func (q policyQuestion) judgeEffective() Finding {
	more, less := differences(q.record.Allow, q.declared), differences(q.declared, q.record.Allow)
	seen, texts := 0, []string{}
	worst := Contained
	for _, f := range q.seen {
		switch f.Verdict {
		case Contained:
			seen++
		case NotApplicable:
		default:
			texts = append(texts, fmt.Sprintf("%s is %s: %s", f.ID, f.Verdict, f.Reason))
			if f.Verdict.Worse(worst) {
				worst = f.Verdict
			}
		}
	}
	r := rule(Contained, "%s has exactly what was asked for, %v, and %d probes from inside agree", q.record.Witness, q.declared, seen)
	switch {
	case len(more) > 0:
		r = rule(Leak, "%s allows %v, which nobody asked for", q.record.Witness, more)
	case len(less) > 0:
		r = rule(Overblocked, "%s lacks %v, which was asked for", q.record.Witness, less)
	case len(texts) > 0:
		r = rule(worst, "%s has exactly what was asked for, %v, and from inside it is not so: %s", q.record.Witness, q.declared, strings.Join(texts, "; "))
	case seen == 0:
		r = rule(Inconclusive, "nothing was seen from inside")
	}
	agreed := held("%s has the list that was asked for", q.record.Witness)
	if len(more)+len(less) > 0 {
		agreed = failed("%s has another list than was asked for", q.record.Witness)
	}
	return q.finding(r, agreed, evidence...)
}

// differences are the prefixes of a that b does not have.
func differences(a, b []netip.Prefix) []netip.Prefix {
	var all []netip.Prefix
	for _, p := range a {
		if !slices.Contains(b, p.Masked()) {
			all = append(all, p)
		}
	}
	return all
}

// finding is a ruling with the controls of the findings that it rests on. A policy that is compared has no twin.
func (q policyQuestion) finding(r ruling, agreed outcome, ids ...string) Finding {
	f := blank(q.probe)
	f.Verdict, f.Reason = r.Verdict, r.Reason
	for _, id := range []string{"C0", "C1", "C2"} {
		var all []outcome
		for _, s := range q.seen {
			if !slices.Contains(ids, s.ID) {
				continue
			}
			for _, c := range s.Controls {
				if c.ID == id {
					all = append(all, outcome{c.State, c.Text})
				}
			}
		}
		f.Controls = append(f.Controls, worst(all).control(id))
	}
	for _, s := range q.seen {
		if slices.Contains(ids, s.ID) && len(s.Attempts) > 0 {
			f.Attempts = append(f.Attempts, s.Attempts[0])
		}
	}
	f.Controls = append(f.Controls, notChecked("a policy that is compared has no twin").control("C3"), agreed.control("C4"),
		question{kills: q.kills, kit: q.kit}.killed().control("C5"))
	f.Assurance = assurance(f.Controls)
	return f
}
