package probes

import (
	"net/netip"
	"testing"

	"bottle.internal/internal/echo"
	"bottle.internal/probes/agent"
)

// A denial is the witness of the attempt that it was of, and not of another's to the same address.
func TestDenialOfAnother(t *testing.T) {
	at := netip.MustParseAddrPort("192.0.2.1:53")
	b := &batch{rig: &rig{}, plan: &plan{}}
	for _, c := range []struct {
		op   string
		of   aim
		want State
	}{
		{"connect", aim{addr: at, network: agent.TCP4}, Held},
		{"connect", aim{addr: at, network: agent.UDP4}, NotChecked},
		{"connect", aim{addr: at, network: agent.UDP4, method: agent.Connected}, Held},
		{"sendto", aim{addr: at, network: agent.UDP4}, Held},
		{"sendto", aim{addr: at, network: agent.TCP4}, NotChecked},
		{"drop", aim{addr: at, network: agent.UDP4}, Held}, // nobody knows what another enforcer calls it
	} {
		b.denials = testimony{name: "the log", entries: []Denial{{Op: c.op, Dest: at.String()}}}
		if o := b.denial(&trialPlan{aim: c.of}); o.State != c.want {
			t.Errorf("%s of %s %s: %s %s", c.op, c.of.network, c.of.method, o.State, o.Text)
		}
	}
}

// A proxy's refusal is joined by nonce; by what was asked for only where nobody else asked for that, and nobody's nonce is in it.
func TestRefusalOfAnother(t *testing.T) {
	also := netip.MustParseAddrPort("192.0.2.1:4000")
	trial := func(id string) *trialPlan {
		return &trialPlan{probe: id, aim: aim{also: also, wall: proxyWall}, shots: []shot{{Attempt: agent.Attempt{Nonce: echo.NewNonce()}}}}
	}
	mine, other := trial("mine"), trial("other")
	nonce := func(t *trialPlan) []echo.Nonce { return []echo.Nonce{t.shots[0].Nonce} }
	for name, c := range map[string]struct {
		trials []*trialPlan
		entry  Denial
		want   State
	}{
		"mine, by its nonce":        {[]*trialPlan{mine, other}, Denial{Dest: "elsewhere:80", Nonces: nonce(mine)}, Held},
		"another's nonce":           {[]*trialPlan{mine, other}, Denial{Dest: also.String(), Nonces: nonce(other)}, NotChecked},
		"no nonce, and alone":       {[]*trialPlan{mine}, Denial{Dest: also.String()}, Held},
		"no nonce, and two ask":     {[]*trialPlan{mine, other}, Denial{Dest: also.String()}, NotChecked},
		"its nonce in what it asks": {[]*trialPlan{mine, other}, Denial{Dest: string(nonce(mine)[0]) + ".test:80"}, Held},
	} {
		b := &batch{rig: &rig{}, plan: &plan{trials: c.trials}, refusals: testimony{name: "the log", entries: []Denial{c.entry}}}
		if o := b.denial(mine); o.State != c.want {
			t.Errorf("%s: %s %s", name, o.State, o.Text)
		}
	}
}
