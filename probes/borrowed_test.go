package probes

import (
	"slices"
	"strings"
	"sync"
	"testing"

	"bottle.internal/probes/agent"
)

// askedOf runs ids in a site and returns the report and the methods that the guest was asked for.
func askedOf(t *testing.T, s Site, ids ...string) (Report, []agent.Method) {
	t.Helper()
	var mu sync.Mutex
	var methods []agent.Method
	s.Run = walled(s, func(a agent.Attempt) agent.Result {
		mu.Lock()
		defer mu.Unlock()
		methods = append(methods, a.Method)
		return deny(a)
	}).run(nil)
	rep, err := Run(t.Context(), s, quick, ids...)
	if err != nil {
		t.Fatal(err)
	}
	return rep, methods
}

// What would change the network of others is not so much as asked for.
func TestBorrowedNetworkIsLeftAlone(t *testing.T) {
	ids := []string{loopbackID, "net.route.tamper", "net.tcp.source-spoof", "net.raw.packet"}
	disturbing := []agent.Method{agent.Route, agent.Source, agent.Link}
	for _, borrowed := range []string{"", "this host's own network"} {
		s := site(t, plain)
		s.Borrowed = borrowed
		rep, methods := askedOf(t, s, ids...)
		for _, m := range disturbing {
			if slices.Contains(methods, m) != (borrowed == "") {
				t.Errorf("borrowed %q: asked for %q", borrowed, methods)
			}
		}
		if borrowed == "" {
			continue
		}
		for _, id := range ids[1:] {
			if f := finding(t, rep, id); f.Verdict != NotApplicable || !strings.Contains(f.Reason, borrowed) {
				t.Errorf("%s", f)
			}
		}
	}
}

// A way that leads over the allowed destination means nothing where there is none.
func TestNoWayByNoDestination(t *testing.T) {
	s := site(t, plain)
	s.Allowed, s.Closed = Target{}, nil
	ids := []string{"net.tcp.same-socket", "net.tcp.unspec", "net.tcp.sockaddr-race", "net.udp.batched", "net.route.tamper"}
	rep, _ := askedOf(t, s, append(ids, loopbackID)...)
	for _, id := range ids {
		if f := finding(t, rep, id); f.Verdict != NotApplicable {
			t.Errorf("%s", f)
		}
	}
}

// Engines mask files of /proc by a piece of the guest's own memory; a piece of anybody else's is none of that.
func TestMaskedFilesOfProc(t *testing.T) {
	dev, own, other := "80 92 0:64 / /dev rw - tmpfs none rw\n", "84 80 0:64 /null /proc/keys rw - tmpfs none rw\n", "84 80 0:99 /null /proc/keys rw - tmpfs none rw\n"
	elsewhere := "84 80 0:64 /null /srv rw - tmpfs none rw\n"
	for mounts, stray := range map[string]bool{dev + own: false, own: true, dev + other: true, dev + elsewhere: true} {
		if got := (Site{}).strayMounts([]byte(mounts)); (got != "") != stray {
			t.Errorf("%s%q", mounts, got)
		}
	}
}
