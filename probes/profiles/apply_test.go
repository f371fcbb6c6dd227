package profiles

import (
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"bottle.internal/internal/echo"
	"bottle.internal/probes"
)

var (
	now      = time.Date(2027, 3, 4, 5, 6, 7, 0, time.UTC)
	tomorrow = time.Date(2027, 3, 5, 0, 0, 0, 0, time.UTC)
	sameAddr = cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b })
)

// waiver is a live one of net.udp.x at 192.0.2.1:53 for what was answered.
func waiver(edit ...func(*probes.Waiver)) probes.Waiver {
	w := probes.Waiver{
		ID: "net.udp.x", Target: "192.0.2.1:53", Expected: probes.Reachable, Reason: "known", Reference: "smolvm#1", Owner: "us", Expires: tomorrow,
	}
	for _, e := range edit {
		e(&w)
	}
	return w
}

func at(target string) func(*probes.Waiver) { return func(w *probes.Waiver) { w.Target = target } }
func named(id string) func(*probes.Waiver)  { return func(w *probes.Waiver) { w.ID = id } }
func over(w *probes.Waiver)                 { w.Expires = now }
func upTo(o probes.Observation) func(*probes.Waiver) {
	return func(w *probes.Waiver) { w.Expected = o }
}

func seen() []echo.Sighting { return []echo.Sighting{{Name: "canary", Peer: "192.0.2.9:1"}} }

func attempt(addr string, edit func(*probes.Attempt)) probes.Attempt {
	a := probes.Attempt{Target: "canary", Network: "udp4", Observation: probes.Filtered, Round: 1}
	if addr != "" {
		a.Address = netip.MustParseAddrPort(addr)
	}
	if edit != nil {
		edit(&a)
	}
	return a
}

// sent leaked one way, answered both ways; silent did not leak.
func sent(addr string) probes.Attempt {
	return attempt(addr, func(a *probes.Attempt) { a.Observation, a.Sightings = probes.OneWay, seen() })
}

func answered(addr string) probes.Attempt {
	return attempt(addr, func(a *probes.Attempt) { a.Observation, a.Proved, a.Sightings = probes.Reachable, true, seen() })
}

func silent(addr string) probes.Attempt { return attempt(addr, nil) }

func leak(attempts ...probes.Attempt) probes.Finding {
	return probes.Finding{ID: "net.udp.x", Severity: probes.Critical, Expect: probes.Contain, Verdict: probes.Leak, Reason: "seen", Attempts: attempts}
}

func verdict(v probes.Verdict, attempts ...probes.Attempt) probes.Finding {
	f := leak(attempts...)
	f.Verdict = v
	return f
}

const place53, elsewhere = "192.0.2.1:53", "192.0.2.2:53"

// waiving are the rules of waivers, each with the traps beside it.
var waiving = []struct {
	name    string
	finding probes.Finding
	waivers []probes.Waiver
	want    probes.Verdict
	by      []int  // the waivers on the finding, by number
	notices []Kind // one for each waiver, "" for none
}{
	{"covered", leak(answered(place53)), []probes.Waiver{waiver()}, probes.Exposed, []int{0}, []Kind{""}},
	{"less than expected", leak(sent(place53)), []probes.Waiver{waiver()}, probes.Exposed, []int{0}, []Kind{""}},
	{"no waiver", leak(answered(place53)), nil, probes.Leak, nil, nil},
	{"by a pattern", leak(sent(place53)), []probes.Waiver{waiver(named("net.*"))}, probes.Exposed, []int{0}, []Kind{""}},
	{"by a port", leak(sent(place53)), []probes.Waiver{waiver(at("*:53"))}, probes.Exposed, []int{0}, []Kind{""}},
	{"by a prefix", leak(sent(place53)), []probes.Waiver{waiver(at("192.0.2.0/24"))}, probes.Exposed, []int{0}, []Kind{""}},

	{"another probe", leak(sent(place53)), []probes.Waiver{waiver(named("net.tcp.*"))}, probes.Leak, nil, []Kind{Untried}},
	{"a longer id", leak(sent(place53)), []probes.Waiver{waiver(named("net.udp"))}, probes.Leak, nil, []Kind{Untried}},
	{"another address", leak(sent(elsewhere)), []probes.Waiver{waiver()}, probes.Leak, nil, []Kind{Stale}},
	{"another port", leak(sent("192.0.2.1:54")), []probes.Waiver{waiver()}, probes.Leak, nil, []Kind{Stale}},
	{"another spelling", leak(sent("[::ffff:192.0.2.1]:53")), []probes.Waiver{waiver()}, probes.Leak, nil, []Kind{Stale}},
	{"no address", leak(sent("")), []probes.Waiver{waiver()}, probes.Leak, nil, []Kind{Stale}},
	{"no address, everywhere", leak(sent("")), []probes.Waiver{waiver(at("*"))}, probes.Exposed, []int{0}, []Kind{""}},
	{"no address, a port", leak(sent("")), []probes.Waiver{waiver(at("*:53"))}, probes.Leak, nil, []Kind{Stale}},

	{"worse than expected", leak(answered(place53)), []probes.Waiver{waiver(upTo(probes.OneWay))}, probes.Leak, nil, []Kind{Exceeded}},
	{"worse in one round", leak(sent(place53), answered(place53)), []probes.Waiver{waiver(upTo(probes.OneWay))}, probes.Leak, nil, []Kind{Exceeded}},
	{"worse by its proof, whatever its word", leak(attempt(place53, func(a *probes.Attempt) { a.Observation, a.Proved = probes.OneWay, true })),
		[]probes.Waiver{waiver(upTo(probes.OneWay))}, probes.Leak, nil, []Kind{Exceeded}},
	{"worse by somebody's answer", leak(attempt(place53, func(a *probes.Attempt) { a.Observation, a.Reply, a.Sightings = probes.OneWay, "NXDOMAIN", seen() })),
		[]probes.Waiver{waiver(upTo(probes.OneWay))}, probes.Leak, nil, []Kind{Exceeded}},
	{"worse by its word, and no proof", leak(attempt(place53, func(a *probes.Attempt) { a.Observation, a.Sightings = probes.Reachable, seen() })),
		[]probes.Waiver{waiver(upTo(probes.OneWay))}, probes.Leak, nil, []Kind{Exceeded}},
	{"denied, says the guest, and seen", leak(attempt(place53, func(a *probes.Attempt) { a.Observation, a.Sightings = probes.Denied, seen() })),
		[]probes.Waiver{waiver(upTo(probes.OneWay))}, probes.Exposed, []int{0}, []Kind{""}},
	{"of another kind", leak(answered(place53)), []probes.Waiver{waiver(upTo(probes.Writable))}, probes.Leak, nil, []Kind{Exceeded}},

	{"shown by an answer", leak(attempt(place53, func(a *probes.Attempt) { a.Observation, a.Shown = probes.Intercepted, "the host's key" })),
		[]probes.Waiver{waiver()}, probes.Exposed, []int{0}, []Kind{""}},
	{"shown, where nothing was to come back", leak(attempt(place53, func(a *probes.Attempt) { a.Observation, a.Shown = probes.OneWay, "the host's key" })),
		[]probes.Waiver{waiver(upTo(probes.OneWay))}, probes.Leak, nil, []Kind{Exceeded}},
	{"read", leak(attempt("", func(a *probes.Attempt) { a.Observation, a.Shown = probes.Readable, "a decoy" })),
		[]probes.Waiver{waiver(at("*"), upTo(probes.Readable))}, probes.Exposed, []int{0}, []Kind{""}},
	{"read and not reached", leak(attempt("", func(a *probes.Attempt) { a.Observation, a.Shown = probes.Readable, "a decoy" })),
		[]probes.Waiver{waiver(at("*"))}, probes.Leak, nil, []Kind{Exceeded}},
	{"written", leak(attempt("", func(a *probes.Attempt) { a.Observation, a.Shown = probes.Writable, "a decoy" })),
		[]probes.Waiver{waiver(at("*"), upTo(probes.Readable))}, probes.Leak, nil, []Kind{Exceeded}},

	{"one of two attempts", leak(sent(place53), sent(elsewhere)), []probes.Waiver{waiver()}, probes.Leak, nil, []Kind{""}},
	{"the other did not leak", leak(sent(place53), silent(elsewhere)), []probes.Waiver{waiver()}, probes.Exposed, []int{0}, []Kind{""}},
	{"two attempts by two", leak(sent(place53), sent(elsewhere), sent(place53)), []probes.Waiver{waiver(at(elsewhere)), waiver()}, probes.Exposed, []int{1, 0}, []Kind{"", ""}},
	{"two that cover the same", leak(sent(place53)), []probes.Waiver{waiver(), waiver(at("*"))}, probes.Exposed, []int{0}, []Kind{"", ""}},
	{"a leak that no attempt shows", leak(silent(place53)), []probes.Waiver{waiver(at("*"))}, probes.Leak, nil, []Kind{Stale}},
	{"a leak without attempts", leak(), []probes.Waiver{waiver(at("*"))}, probes.Leak, nil, []Kind{Stale}},

	{"expired", leak(sent(place53)), []probes.Waiver{waiver(over)}, probes.Leak, nil, []Kind{Expired}},
	{"expired, and a live one", leak(sent(place53)), []probes.Waiver{waiver(over), waiver(at("*"))}, probes.Exposed, []int{1}, []Kind{Expired, ""}},
	{"expired over nothing", verdict(probes.Contained, silent(place53)), []probes.Waiver{waiver(over)}, probes.Contained, nil, []Kind{Expired}},
	{"expired for one of two", leak(sent(place53), sent(elsewhere)), []probes.Waiver{waiver(), waiver(at(elsewhere), over)}, probes.Leak, nil, []Kind{"", Expired}},

	{"contained", verdict(probes.Contained, silent(place53)), []probes.Waiver{waiver()}, probes.Contained, nil, []Kind{Stale}},
	{"overblocked", verdict(probes.Overblocked, sent(place53)), []probes.Waiver{waiver(at("*"))}, probes.Overblocked, nil, []Kind{Stale}},
	{"inconclusive", verdict(probes.Inconclusive, sent(place53)), []probes.Waiver{waiver(at("*"))}, probes.Inconclusive, nil, []Kind{Untried}},
	{"an error", verdict(probes.Error, sent(place53)), []probes.Waiver{waiver(at("*"))}, probes.Error, nil, []Kind{Untried}},
	{"not applicable", verdict(probes.NotApplicable), []probes.Waiver{waiver(at("*"))}, probes.NotApplicable, nil, []Kind{Untried}},
	{"exposed by somebody else", verdict(probes.Exposed, sent(elsewhere)), []probes.Waiver{waiver()}, probes.Leak, nil, []Kind{Stale}},

	{"no reason", leak(sent(place53)), []probes.Waiver{waiver(func(w *probes.Waiver) { w.Reason = " " })}, probes.Leak, nil, []Kind{Broken}},
	{"no end", leak(sent(place53)), []probes.Waiver{waiver(func(w *probes.Waiver) { w.Expires = time.Time{} })}, probes.Leak, nil, []Kind{Broken}},
	{"a target that is none", leak(sent(place53)), []probes.Waiver{waiver(at("any"))}, probes.Leak, nil, []Kind{Broken}},
	{"everything", leak(sent(place53)), []probes.Waiver{waiver(named("*"), at("*"))}, probes.Leak, nil, []Kind{Broken}},
	{"the zero waiver", leak(sent("")), make([]probes.Waiver, 1), probes.Leak, nil, []Kind{Broken}},
}

func TestWaivers(t *testing.T) {
	for _, c := range waiving {
		t.Run(c.name, func(t *testing.T) {
			p := Profile{Name: "test", MaxInconclusivePercent: 100, Waivers: c.waivers}
			rep, notices := p.Apply(probes.Report{Findings: []probes.Finding{c.finding}}, now)
			f := rep.Findings[0]
			var by []probes.Waiver
			for _, i := range c.by {
				by = append(by, c.waivers[i])
			}
			if f.Verdict != c.want || !slices.Equal(f.Waivers, by) {
				t.Errorf("%s\nwant %s by %v", f, c.want, by)
			}
			var want []Kind
			for i, k := range c.notices {
				if k != "" {
					want = append(want, k)
					if !slices.ContainsFunc(notices, func(n Notice) bool { return n.Kind == k && n.Waiver == c.waivers[i] }) {
						t.Errorf("waiver %d is not %s: %v", i, k, notices)
					}
				}
			}
			if len(notices) != len(want) {
				t.Errorf("notices %v, want %q", notices, want)
			}
		})
	}
}

// What is waived in part stays red and says which part.
func TestPartlyWaived(t *testing.T) {
	rep, _ := Profile{Waivers: []probes.Waiver{waiver()}}.Apply(probes.Report{Findings: []probes.Finding{leak(sent(place53), sent(elsewhere))}}, now)
	if w := rep.Findings[0].Warnings; len(w) != 1 || !strings.Contains(w[0], "1 of 2") || !strings.Contains(w[0], elsewhere) {
		t.Errorf("warnings %q", w)
	}
}

// A waiver ends at the moment it names and not later.
func TestExpiryIsAMoment(t *testing.T) {
	p := Profile{Waivers: []probes.Waiver{waiver()}}
	rep := probes.Report{Findings: []probes.Finding{leak(sent(place53))}}
	for when, want := range map[time.Time]probes.Verdict{
		tomorrow.Add(-time.Nanosecond): probes.Exposed, tomorrow: probes.Leak, tomorrow.AddDate(10, 0, 0): probes.Leak,
		tomorrow.Add(-time.Second).In(time.FixedZone("far east", 14*60*60)): probes.Exposed, // already the day after, there
	} {
		if got, _ := p.Apply(rep, when); got.Findings[0].Verdict != want {
			t.Errorf("%s: %s, want %s", when, got.Findings[0].Verdict, want)
		}
	}
}

// What only the engine itself has is no leak that is waived in a simulation of it, and nothing is said of the waiver there.
func TestWaiverOfTheRealEngine(t *testing.T) {
	p := Profile{Waivers: []probes.Waiver{waiver(func(w *probes.Waiver) { w.Engine = probes.RealEngine })}}
	for simulated, want := range map[bool]probes.Verdict{false: probes.Exposed, true: probes.Leak} {
		rep := probes.Report{Simulated: simulated, Findings: []probes.Finding{leak(sent(place53))}}
		got, notices := p.Apply(rep, now)
		if got.Findings[0].Verdict != want || len(notices) != 0 {
			t.Errorf("simulated %t: %s, want %s; %v", simulated, got.Findings[0].Verdict, want, notices)
		}
	}
}

// Every observation is worse than, as bad as, or not comparable with every other.
func TestOrderOfObservations(t *testing.T) {
	all := []probes.Observation{
		probes.Reachable, probes.OneWay, probes.HandshakeOnly, probes.Intercepted, probes.Refused, probes.Reset, probes.Denied, probes.Unreachable,
		probes.Filtered, probes.Unresolved, probes.Unsupported, probes.Readable, probes.Writable, probes.Absent, probes.ReadOnly, probes.ProbeError, "", "green",
	}
	var got []string
	for _, expected := range all {
		for _, have := range all {
			if within(have, expected) {
				got = append(got, string(have)+" within "+string(expected))
			}
		}
	}
	slices.Sort(got)
	want := []string{
		"one-way within one-way", "one-way within reachable", "reachable within reachable",
		"readable within readable", "readable within writable", "writable within writable",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// Apply leaves what it was given as it was, to the last slice, and gives the same again.
func TestApplyIsPure(t *testing.T) {
	original := func() probes.Report {
		mixed := leak(sent(place53), sent(elsewhere))
		mixed.Warnings = append(make([]string, 0, 8), "one") // room to be written to
		weak := verdict(probes.Contained, silent(place53))
		weak.Assurance = probes.L1
		return probes.Report{Findings: []probes.Finding{mixed, weak, leak(sent(place53)), verdict(probes.Exposed, sent(place53))}}
	}
	p, rep := must(Strict), original()
	p.Waivers = []probes.Waiver{waiver()}
	first, notices := p.Apply(rep, now)
	if diff := cmp.Diff(original(), rep, sameAddr); diff != "" {
		t.Errorf("the report was changed:\n%s", diff)
	}
	if w := rep.Findings[0].Warnings; w[:2][1] != "" {
		t.Errorf("%q was written behind the report's back", w[:2])
	}
	again, noticesAgain := p.Apply(rep, now)
	if !reflect.DeepEqual(first, again) || !reflect.DeepEqual(notices, noticesAgain) {
		t.Error("the second time it came out otherwise")
	}
}

// A profile that waives less takes back what another exposed, and nothing of the leak is lost on the way.
func TestStrictTakesBack(t *testing.T) {
	rep := probes.Report{Findings: []probes.Finding{leak(sent(place53))}}
	lax := Profile{Name: "lax", MaxInconclusivePercent: 20, Waivers: []probes.Waiver{waiver()}}
	exposed, _ := lax.Apply(rep, now)
	got, _ := must(Strict).Apply(exposed, now)
	want, _ := must(Strict).Apply(rep, now)
	if diff := cmp.Diff(want, got, sameAddr, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if exposed.Worst() != probes.Exposed || got.Worst() != probes.Leak || got.Profile != Strict {
		t.Errorf("%s by %s, then %s by %s", exposed.Worst(), exposed.Profile, got.Worst(), got.Profile)
	}
}
