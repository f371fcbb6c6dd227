package probes

import (
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"bottle.internal/probes/agent"
)

// A guest that is told that it is connected, and is not, was lied to.
func TestHandshakeLie(t *testing.T) {
	lies := func(agent.Attempt) agent.Result { return agent.Result{Stage: agent.StageRead, ElapsedUS: 100} }
	for name, c := range map[string]struct {
		backend string
		wall    guest
		want    Verdict
	}{
		"tsi denies":           {TSI, deny, Contained},
		"tsi lies":             {TSI, lies, Inconclusive},
		"virtio-net refuses":   {VirtioNet, refuse, Contained},
		"virtio-net lies":      {VirtioNet, lies, Inconclusive},
		"it is no lie":         {VirtioNet, open, Leak},
		"a container is shut":  {"", refuse, Contained},
		"a container is mute":  {"", lies, Inconclusive},
		"tsi has nobody there": {TSI, refuse, Inconclusive},
	} {
		s := site(t, c.backend)
		s.Run = walled(s, c.wall).run(nil)
		if f := runOne(t, s, "net.tcp.handshake-lie"); f.Verdict != c.want {
			t.Errorf("%s: want %s: %s", name, c.want, f)
		}
	}
}

func TestInternalNames(t *testing.T) {
	got := internalNames("127.0.0.1 localhost\n::1 ip6-localhost\n192.0.2.7 db db.corp.example # ours\n0.0.0.0 blocked\n192.0.2.8\nx y\n192.0.2.9 a..b\n")
	want := []internalName{{"db", netip.MustParseAddr("192.0.2.7")}, {"db.corp.example", netip.MustParseAddr("192.0.2.7")}}
	if !slices.Equal(got, want) {
		t.Errorf("%v", got)
	}
}

// resolving is a guest whose resolver has addr for every name.
func resolving(addr netip.Addr) guest {
	return func(a agent.Attempt) agent.Result {
		if a.Method != agent.Resolver || a.Network != agent.UDP4 {
			return deny(a)
		}
		b := append([]byte{}, a.Messages()[0]...)
		b[2], b[7] = b[2]|0x80, 1
		b = append(b, 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4)
		return agent.Result{Stage: agent.StageDone, Reply: append(b, addr.AsSlice()...), ElapsedUS: 100}
	}
}

// The host's names are the host's: an answer with the host's address leaks, any other does not, and what is no answer is not known.
func TestInternalNamesAreTheHosts(t *testing.T) {
	const id = "net.dns.internal-names"
	usual := hostsPath
	t.Cleanup(func() { hostsPath = usual })
	hostsPath = filepath.Join(t.TempDir(), "hosts")
	if err := os.WriteFile(hostsPath, []byte("127.0.0.1 localhost\n10.20.30.40 db.corp.internal db # and no other\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := site(t, TSI)
	r := newRig(s, quick)
	aims, none := r.internalNameAims()
	_ = r.close()
	if none.why != "" {
		t.Fatal(none.why)
	}
	q, err := parseQuery(aims[0].send("")[0])
	if err != nil || !s.World.asked.knows(q.name) {
		t.Fatalf("%q, %v: the world takes it for a stranger's", q.name, err)
	}
	var host netip.Addr
	for _, n := range mustNames(t) {
		if n.name == q.name {
			host = n.addr
		}
	}
	for name, c := range map[string]struct {
		guest guest
		want  Verdict
	}{
		"as the host has it":      {resolving(host), Leak},
		"as somebody else has it": {resolving(netip.MustParseAddr("198.51.100.9")), Contained},
		"not at all":              {deny, Contained},
		"garbage": {func(a agent.Attempt) agent.Result {
			return agent.Result{Stage: agent.StageDone, Reply: []byte("garbage"), ElapsedUS: 100}
		}, Inconclusive},
	} {
		s := site(t, TSI)
		s.Run = walled(s, c.guest).run(nil)
		if f := runOne(t, s, id); f.Verdict != c.want {
			t.Errorf("%s: want %s: %s", name, c.want, f)
		}
	}
}

func mustNames(t *testing.T) []internalName {
	t.Helper()
	b, err := os.ReadFile(hostsPath)
	if err != nil {
		t.Fatal(err)
	}
	return internalNames(string(b))
}

// locationIn is where an HTTP answer sends its client.
func locationIn(answer []byte) string {
	_, rest, _ := strings.Cut(string(answer), "Location: ")
	to, _, _ := strings.Cut(rest, "\r\n")
	return to
}

// A proxy hands a redirect on, or goes there itself.
func TestRedirect(t *testing.T) {
	for name, c := range map[string]struct {
		follows, lies bool
		want          Verdict
	}{
		"it hands it on":           {false, false, Contained},
		"it goes there":            {true, false, Leak},
		"it says that it did not":  {true, true, Leak},
		"it never asks the origin": {false, true, Inconclusive},
	} {
		s := withOriginOf(t, fakeProxy{})
		s.Run = walled(s, func(a agent.Attempt) agent.Result {
			if a.Addr != proxyAddr {
				return deny(a)
			}
			if c.lies && !c.follows {
				return refusing(a)
			}
			answer := answerTo(s.Proxy.Origin.Addr, a.Messages()[0])
			if to := locationIn(answer); c.follows && to != "" {
				if resp, err := http.Get(to); err == nil {
					_ = resp.Body.Close()
				}
			}
			return agent.Result{Stage: agent.StageDone, Reply: answer, ElapsedUS: 100}
		}).run(nil)
		if f := runOne(t, s, "proxy.redirect"); f.Verdict != c.want {
			t.Errorf("%s: want %s: %s", name, c.want, f)
		}
	}
}

// Who refuses has to be the proxy, and has to refuse.
func TestBlockPage(t *testing.T) {
	for name, c := range map[string]struct {
		answer, known string
		want          Verdict
	}{
		"its own refusal":        {"HTTP/1.1 403 Forbidden\r\n\r\nours: denied", "ours: denied", Contained},
		"a page that looks fine": {"HTTP/1.1 200 OK\r\n\r\nours: denied", "ours: denied", Inconclusive},
		"somebody else's":        {"HTTP/1.1 403 Forbidden\r\n\r\n<html>", "ours: denied", Inconclusive},
		"nobody knows it":        {"HTTP/1.1 403 Forbidden\r\n\r\n", "", Inconclusive},
	} {
		s := proxied(t, func(agent.Attempt) agent.Result {
			return agent.Result{Stage: agent.StageDone, Reply: []byte(c.answer), ElapsedUS: 100}
		}, deny)
		s.Proxy.Refusal = c.known
		if f := runOne(t, s, "proxy.blockpage-identity"); f.Verdict != c.want {
			t.Errorf("%s: want %s: %s", name, c.want, f)
		}
	}
	s := proxied(t, relaying, deny)
	s.Proxy.Refusal = "ours: denied"
	s.Run = walled(s, func(a agent.Attempt) agent.Result {
		if a.Addr != proxyAddr {
			return deny(a)
		}
		a.Send = nil
		return relaying(a)
	}).run(nil)
	if f := runOne(t, s, "proxy.blockpage-identity"); f.Verdict != Leak {
		t.Errorf("the page itself: %s", f)
	}
}
