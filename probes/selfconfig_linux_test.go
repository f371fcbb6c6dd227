package probes

import (
	"testing"

	"bottle.internal/probes/agent"
)

// An address that the guest gives itself is behind the wall like any other, or it is a way out.
func TestSelfConfig(t *testing.T) {
	const id = "net.ipv6.selfconfig"
	for name, c := range map[string]struct {
		wall guest
		edit func(*Site)
		want Verdict
	}{
		"behind the wall":       {deny, func(*Site) {}, Contained},
		"it may not":            {func(agent.Attempt) agent.Result { return agent.Result{Stage: agent.StagePrepare, Errno: "EPERM"} }, func(*Site) {}, Contained},
		"it cannot be made out": {func(agent.Attempt) agent.Result { return agent.Result{Stage: agent.StagePrepare, Errno: "EIO"} }, func(*Site) {}, Error},
		"a handshake":           {func(agent.Attempt) agent.Result { return agent.Result{Stage: agent.StageRead, ElapsedUS: 100} }, func(*Site) {}, Inconclusive},
		"on the simulator":      {deny, func(s *Site) { s.Simulated = true }, NotApplicable},
		"in others' network":    {deny, func(s *Site) { s.Borrowed = "this host's" }, NotApplicable},
	} {
		s := site(t, TSI)
		s.Run = walled(s, c.wall).run(nil)
		c.edit(&s)
		if f := runOne(t, s, id); f.Verdict != c.want {
			t.Errorf("%s: want %s: %s", name, c.want, f)
		}
	}
	s := site(t, TSI)
	s.Run = walled(s, func(a agent.Attempt) agent.Result { return throughWorld(s, a) }).run(nil)
	if f := runOne(t, s, id); f.Verdict != Leak || f.Attempts[0].Method != agent.SelfConfig {
		t.Errorf("past the wall: %s", f)
	}
}
