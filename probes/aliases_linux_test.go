package probes

import (
	"net/netip"
	"slices"
	"testing"

	"bottle.internal/internal/echo"
	"bottle.internal/probes/agent"
)

// at is a guest whose names lead to an address of the host.
func at(ip string) guest {
	return func(a agent.Attempt) agent.Result {
		a.Addr = netip.AddrPortFrom(netip.MustParseAddr(ip), a.Addr.Port())
		return open(a)
	}
}

// A name that leads to the host is a leak, one that leads nowhere is none, and one that could not be asked for shows nothing.
func TestHostAlias(t *testing.T) {
	const id = "net.tcp.host-alias"
	for name, c := range map[string]struct {
		guest guest
		want  Verdict
	}{
		"the host's loopback":     {at("127.0.0.1"), Leak},
		"another of its own":      {at("127.0.0.3"), Leak},
		"nowhere":                 {func(agent.Attempt) agent.Result { return failedWith(agent.StagePrepare, "ENONAME") }, Contained},
		"an address that is none": {deny, Contained},
		"nobody knows":            {func(agent.Attempt) agent.Result { return failedWith(agent.StagePrepare, "") }, Error},
		"a listener of its own":   {saying("HTTP/1.0 200 OK\r\n\r\n"), Inconclusive},
	} {
		s := site(t, TSI)
		s.Run = walled(s, c.guest).run(nil)
		rep, err := Run(t.Context(), s, quick, id)
		if err != nil {
			t.Fatal(err)
		}
		f := finding(t, rep, id)
		if f.Verdict != c.want {
			t.Errorf("%s: want %s: %s", name, c.want, f)
		}
		for _, n := range []string{"host.smolvm.internal", "host.docker.internal", "host.containers.internal", "gateway.docker.internal"} {
			if !slices.ContainsFunc(f.Attempts, func(a Attempt) bool { return a.Path == n }) {
				t.Errorf("%s: %s was not tried", name, n)
			}
		}
	}
}

// Where a name leads out of the machine the world has it, also in a batch that asks for nothing else of it.
func TestHostAliasIntoTheWorld(t *testing.T) {
	s := site(t, TSI)
	w := s.World
	s.Run = walled(s, func(a agent.Attempt) agent.Result {
		v := w.ledger.enter(worldName, "tcp", "192.0.2.1:1", a.Addr.String())
		v.saw(a.Nonce)
		return answered(string(echo.Response(echo.NewReply(w.Secret(), worldName, a.Nonce, "", ""))))
	}).run(nil)
	rep, err := Run(t.Context(), s, quick, "net.tcp.host-alias")
	if err != nil {
		t.Fatal(err)
	}
	if f := finding(t, rep, "net.tcp.host-alias"); f.Verdict != Leak {
		t.Errorf("%s", f)
	}
}

// Without a world nothing but the engine's own name is asked for, since nobody of ours would answer.
func TestHostAliasOffline(t *testing.T) {
	for online, want := range map[bool]int{false: 1, true: len(hostAliases)} {
		s := site(t, TSI)
		s.World = nil
		o := quick
		o.Online = online
		r := newRig(s, o.withDefaults())
		if aims, none := r.aliasAims(); len(aims) != want || none.why != "" {
			t.Errorf("online %t: %d aims, %+v", online, len(aims), none)
		}
		_ = r.close()
	}
}

// A question for a name of the host's is no stranger's; any other without a nonce is.
func TestWorldKnowsAliases(t *testing.T) {
	w := newWorld(t)
	for name, known := range map[string]bool{"host.docker.internal": true, "x.host.docker.internal": false, "example.com": false} {
		v := w.ledger.enter(worldName, "dns", "192.0.2.1:1", name)
		q := dnsQuery("", name, typeA)
		if _, reply := w.read(v, q); reply == nil {
			t.Errorf("%s: no answer", name)
		}
		if got := len(w.ledger.strangers(name, testTime)) == 0; got != known {
			t.Errorf("%s: known %t, want %t", name, got, known)
		}
	}
}
