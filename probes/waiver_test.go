package probes

import (
	"slices"
	"strings"
	"testing"
	"time"
)

// What the judge calls a leak and what a waiver has to cover is the same thing, case by case.
func TestALeakIsAnAttemptThatLeaked(t *testing.T) {
	leaks := 0
	shown := judgeCase{"the answer gave something away", sound(TSI), func(_ *question, t *trial) { t.attempts[1].Shown = "the host's key" }, Leak, "", L1}
	for _, c := range append(slices.Clone(containCases), shown) {
		q := *c.start
		q.trials = slices.Clone(q.trials)
		for i := range q.trials {
			q.trials[i].attempts = slices.Clone(q.trials[i].attempts)
		}
		if c.edit != nil {
			c.edit(&q, &q.trials[0])
		}
		f := judge(q)
		if leaked := slices.ContainsFunc(f.Attempts, Attempt.Leaked); leaked != (f.Verdict == Leak) {
			t.Errorf("%s: verdict %s, and an attempt leaked: %t", c.name, f.Verdict, leaked)
		}
		if f.Verdict == Leak {
			leaks++
		}
	}
	if leaks < 3 {
		t.Errorf("%d cases are leaks: the comparison says little", leaks)
	}
}

func TestWaiverIsShown(t *testing.T) {
	w := Waiver{
		ID: "net.dns.*", Target: "*:53", Expected: Reachable, Reason: "the gateway answers", Reference: "smolvm stack.rs", Owner: "us",
		Expires: time.Date(2027, 5, 31, 0, 0, 0, 0, time.UTC),
	}
	f := Finding{ID: "net.dns.x", Verdict: Exposed, Reason: "seen", Waivers: []Waiver{w}}
	r := Report{Profile: "strict", Invalid: "3 of 4", Findings: []Finding{f}}
	for _, want := range []string{
		"profile strict: error, 1 probes", "\nINVALID: 3 of 4\n", "EXPOSED",
		"\n  waived: net.dns.* at *:53, up to reachable, until 2027-05-31, by us: the gateway answers (smolvm stack.rs)",
	} {
		if !strings.Contains(r.String(), want) {
			t.Errorf("%q is not in\n%s", want, r)
		}
	}
}

// An invalid report is an error, unless something worse is known.
func TestWorstOfAnInvalidReport(t *testing.T) {
	for _, c := range []struct {
		verdict, want Verdict
		exit          int
	}{
		{Contained, Error, 4}, {Exposed, Error, 4}, {Inconclusive, Error, 3}, {Error, Error, 4}, {Overblocked, Overblocked, 1}, {Leak, Leak, 1},
		{NotApplicable, Error, 4},
	} {
		r := Report{Invalid: "for a reason", Findings: []Finding{{Verdict: c.verdict}}}
		if got, exit := r.Worst(), r.ExitCode(); got != c.want || exit != c.exit {
			t.Errorf("%s: %s, exit %d; want %s, %d", c.verdict, got, exit, c.want, c.exit)
		}
	}
}
