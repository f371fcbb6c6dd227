package probes

import (
	"net/netip"
	"testing"
	"time"

	"bottle.internal/internal/echo"
	"bottle.internal/probes/agent"
)

// The allowed destination comes first and last, each denial as often as asked, a second look after every one of them, and
// nothing runs longer than the deadline.
func TestPlan(t *testing.T) {
	s := site(t, TSI)
	r := newRig(s, Options{Attempts: 3, Budget: time.Second}.withDefaults())
	trials := []*trialPlan{
		{probe: "deny", aim: aim{addr: loopback}},
		{probe: "deny6", aim: aim{addr: loopback6}},
		{probe: "reach", aim: aim{addr: gateway, expect: Reach}},
		{probe: "allowed", aim: aim{addr: s.Allowed.Addr, post: r.allowed}, path: true},
	}
	p := newPlan(r, trials)
	if err := p.request.Validate(); err != nil {
		t.Fatal(err)
	}
	first, last := reachTries, 0
	nonces := make(map[echo.Nonce]bool)
	for _, a := range p.request.Attempts {
		if nonces[a.Nonce] {
			t.Errorf("%s: a nonce twice", a.ID)
		}
		nonces[a.Nonce] = true
		if a.Addr != s.Allowed.Addr && a.Network != agent.Look {
			first, last = min(first, a.Phase), max(last, a.Phase)
		}
		if want := agent.TCP6; a.Addr.Addr().Is6() != (a.Network == want) {
			t.Errorf("%s: %s by %s", a.ID, a.Addr, a.Network)
		}
	}
	for _, shot := range p.before {
		if shot.Phase >= first {
			t.Errorf("allowed attempt in phase %d, the first denial in %d", shot.Phase, first)
		}
	}
	for _, shot := range p.after {
		if shot.Phase <= last {
			t.Errorf("allowed attempt in phase %d, the last denial in %d", shot.Phase, last)
		}
	}
	for i, want := range []int{6, 6, reachTries, 2 * reachTries} {
		if got := len(trials[i].shots); got != want {
			t.Errorf("%s: %d attempts, want %d", trials[i].probe, got, want)
		}
	}
	for i, shot := range trials[0].shots {
		before := trials[0].shots[max(0, i-1)]
		if shot.slow != (i%2 == 1) || shot.round != i/2+1 {
			t.Errorf("attempt %d: round %d, slow %t", i, shot.round, shot.slow)
		}
		if shot.slow && (shot.After != before.ID || shot.When != agent.WhenFiltered || shot.Budget() != slowFactor*before.Budget() || shot.Phase <= before.Phase) {
			t.Errorf("second look %+v at %+v", shot, before)
		}
	}
	// 3+3+3 tries and rounds of a second and one second look of three, twice two seconds less for nobody.
	if d := time.Duration(p.request.DeadlineMS) * time.Millisecond; d < 12*time.Second || d > 16*time.Second {
		t.Errorf("deadline %s", d)
	}
}

// A batch that needs several waves of flows is given the time for them.
func TestPlanWaves(t *testing.T) {
	r := newRig(Site{}, Options{Attempts: 1, Budget: time.Second}.withDefaults())
	var trials []*trialPlan
	for port := range uint16(2*agent.MaxFlows + 1) {
		trials = append(trials, &trialPlan{aim: aim{addr: netip.AddrPortFrom(loopback.Addr(), port+1)}})
	}
	if d := newPlan(r, trials).deadline(); d < 3*time.Second+3*3*time.Second {
		t.Errorf("%s for three waves of one and of three seconds", d)
	}
}

func TestOptionsDefaults(t *testing.T) {
	o := Options{}.withDefaults()
	if o.Attempts != 2 || o.Budget != 1500*time.Millisecond || o.Grace != 50*time.Millisecond || o.Listen == nil {
		t.Errorf("%+v", o)
	}
	if o := (Options{Attempts: 1 << 20}).withDefaults(); o.Attempts != maxDenials {
		t.Errorf("%d attempts", o.Attempts)
	}
}
