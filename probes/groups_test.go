package probes

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"

	"bottle.internal/probes/agent"
)

func TestBroadcasts(t *testing.T) {
	for text, want := range map[string]string{
		"":              "[255.255.255.255]",
		"172.17.0.1/16": "[255.255.255.255 172.17.255.255]",
		"10.9.8.7/29":   "[255.255.255.255 10.9.8.7]",
	} {
		n, _ := netip.ParsePrefix(text)
		if got := fmt.Sprint(broadcasts(n)); got != want {
			t.Errorf("%q: %s, want %s", text, got, want)
		}
	}
}

// Groups are spoken to where something of ours hears them, and nowhere else.
func TestGroupAims(t *testing.T) {
	s := site(t, TSI)
	for _, m := range []agent.Method{agent.Multicast, agent.Broadcast} {
		r := newRig(s, quick)
		aims, none := r.groupAims(m, broadcastPort, broadcasts)
		if none.why != "" || len(aims) == 0 || aims[0].post != r.world || aims[0].method != m {
			t.Errorf("%+v, %+v", aims, none)
		}
		for _, a := range aims {
			if a.post == nil {
				t.Errorf("nothing hears %s", a.addr)
			}
		}
		_ = r.close()
	}
	s.World = nil
	passing := s
	for _, a := range hostAddrs() {
		passing.Passing = append(passing.Passing, a.Addr)
	}
	if aims, none := newRig(passing, quick).groupAims(agent.Broadcast, broadcastPort, broadcasts); len(aims) != 0 || none.why == "" {
		t.Errorf("bridges that come and go are listened on: %+v", aims)
	}
	r := newRig(s, quick)
	defer func() { _ = r.close() }()
	if aims, none := r.groupAims(agent.Broadcast, broadcastPort, broadcasts); (len(aims) == 0) != (none.why != "") || !slices.ContainsFunc(hostAddrs(), isBridge4) && none.why == "" {
		t.Errorf("%+v, %+v", aims, none)
	}
}
