package probes

import (
	"strings"
	"testing"
)

// asFound is a finding whose controls hold up to C4.
func asFound(id string, v Verdict) Finding {
	f := Finding{ID: id, Severity: Critical, Expect: Contain, Verdict: v, Reason: "because", Attempts: []Attempt{{Target: id, Round: 1}, {Target: id, Round: 2}}}
	for _, c := range []string{"C0", "C1", "C2", "C3", "C4"} {
		f.Controls = append(f.Controls, Control{ID: c, State: Held})
	}
	return f
}

func without(f Finding, control string) Finding {
	var kept []Control
	for _, c := range f.Controls {
		if c.ID != control {
			kept = append(kept, c)
		}
	}
	f.Controls = kept
	return f
}

func TestRepetition(t *testing.T) {
	a, b := asFound("net.tcp.canary.v4", Contained), asFound("net.tcp.lan.v4", Contained)
	is := func(f Finding, v Verdict) Finding { f.Verdict = v; return f }
	for _, c := range []struct {
		name          string
		before, after []Finding
		want          Verdict
		level         Assurance
		says          string
	}{
		{"nothing changed", []Finding{a, b}, []Finding{b, a}, Contained, L3, "each of 2"},
		{"a known leak is no news, and is named", []Finding{a, is(b, Leak)}, []Finding{a, is(b, Leak)}, Contained, L3, "each of 1 probes that held before holds now; others did not hold before: " + b.ID + " leak"},
		{"all leaked before", []Finding{is(a, Leak), is(b, Leak)}, []Finding{is(a, Leak), is(b, Leak)}, Inconclusive, L3, "nothing held before"},
		{"nothing was known before", []Finding{is(a, Inconclusive)}, []Finding{is(a, Inconclusive)}, Inconclusive, L3, "nothing held before"},
		{"what failed before fails now", []Finding{is(a, Error)}, []Finding{is(a, Error)}, Inconclusive, L3, "nothing held before"},
		{"what leaked before leaks, and more", []Finding{is(a, Inconclusive)}, []Finding{is(a, Leak)}, Leak, L3, a.ID},
		{"one leaks now", []Finding{a, b}, []Finding{a, is(b, Leak)}, Leak, L3, b.ID},
		{"one leaks and one says nothing", []Finding{a, b}, []Finding{is(a, Inconclusive), is(b, Leak)}, Leak, L3, "and 1 more"},
		{"one is overblocked now", []Finding{a, b}, []Finding{is(a, Overblocked), b}, Overblocked, L3, a.ID},
		{"one says nothing now", []Finding{a, b}, []Finding{is(a, Inconclusive), b}, Inconclusive, L3, a.ID},
		{"one failed now", []Finding{a, b}, []Finding{is(a, Error), b}, Error, "", a.ID},
		{"one was not asked again", []Finding{a, b}, []Finding{a}, Error, "", b.ID},
		{"one means nothing now", []Finding{a, b}, []Finding{a, is(b, NotApplicable)}, Inconclusive, L3, b.ID},
		{"a leak that is gone is not known to be", []Finding{is(a, Leak), b}, []Finding{a, b}, Inconclusive, L3, a.ID},
		{"what was open before is clear now", []Finding{is(a, Inconclusive), b}, []Finding{a, b}, Contained, L3, "each of 1"},
		{"nothing to compare", nil, nil, Error, "", "nothing to compare"},
		{"the flip is lost", []Finding{a, b}, []Finding{a, without(b, "C3")}, Contained, L2, "each of 2"},
		{"the path is lost", []Finding{a, b}, []Finding{a, without(b, "C2")}, Inconclusive, L0, "C2: it held of"},
		{"there never was a path", []Finding{without(a, "C2")}, []Finding{without(a, "C2")}, Inconclusive, L0, "C2"},
		{"one had no flip before either", []Finding{a, without(b, "C3")}, []Finding{a, without(b, "C3")}, Contained, L3, "each of 2"},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := repetition{probe: Probe{ID: "life.restart"}, before: c.before, after: c.after}.judge()
			if f.Verdict != c.want || f.Assurance != c.level || !strings.Contains(f.Reason, c.says) {
				t.Errorf("want %s %s naming %q, got\n%s", c.want, c.level, c.says, f)
			}
		})
	}
}

// What was seen once stays seen, whatever is asked again.
func TestRenewed(t *testing.T) {
	leak, held := asFound("x", Leak), asFound("x", Contained)
	if got := renewed(renewed(nil, []Finding{leak}), []Finding{held}); len(got) != 1 || got[0].Verdict != Leak {
		t.Errorf("%+v", got)
	}
	if got := renewed([]Finding{asFound("x", Inconclusive)}, []Finding{held}); got[0].Verdict != Contained {
		t.Errorf("%+v", got)
	}
}
