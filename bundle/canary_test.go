package bundle

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"bottle.internal/internal/echo"
)

func TestCanary(t *testing.T) {
	t.Parallel()
	c := runBundle(t)
	y, err := c.Canary(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if y.Addr().Addr() != c.Addr() {
		t.Errorf("listens on %s, want an address of %s", y.Addr(), c.Addr())
	}
	n := echo.NewNonce()
	r, err := c.Echo(t.Context(), y.Addr(), n)
	if err != nil || !c.Secret().Verify(n, r) || r.Name != "canary" {
		t.Errorf("%+v, %v", r, err)
	}
	begin := time.Now()
	if err := y.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
	t.Logf("Close canary: %s", time.Since(begin).Round(time.Millisecond))
	if ss := y.Sightings(); len(ss) != 1 || ss[0].Nonce != n || ss[0].Local != y.Addr().String() {
		t.Errorf("sightings %v, want the one of %s", ss, n)
	}
	if _, err := c.Echo(t.Context(), y.Addr(), n); err == nil {
		t.Error("it answers after Close")
	}
	if err := y.Close(); err != nil {
		t.Errorf("closing again: %v", err)
	}
}

// A canary that dies with its container must not look like one that saw nothing.
func TestCanaryOutlivedByNobody(t *testing.T) {
	t.Parallel()
	c := runBundle(t)
	y, err := c.Canary(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Remove(t.Context()); err != nil {
		t.Fatal(err)
	}
	select {
	case <-y.ended:
	case <-time.After(5 * time.Second):
		t.Fatal("its end goes unnoticed")
	}
	if err := y.Close(); err == nil {
		t.Error("Close says nothing of its early end")
	}
}

// A canary that PID 1 keeps is up without a process of its own making, and what it saw is all known at once.
func TestKeptCanary(t *testing.T) {
	t.Parallel()
	c := runBundle(t, WithCanary(7001))
	if logged, err := c.log(t.Context()); err != nil || !slices.Contains(strings.Split(string(logged), "\n"), "no daemons selected") {
		t.Errorf("log %q, %v: a canary is no daemon that anybody selected", logged, err)
	}
	if got, want := mine(t, c), []string{"tcp 0.0.0.0:7001 bottle-bundle daemon canary"}; !slices.Equal(got, want) {
		t.Errorf("listeners %q, want %q", got, want)
	}
	again, err := Attach(t.Context(), strings.TrimPrefix(nameOf(t, c), "/"))
	if err != nil {
		t.Fatal(err)
	}
	far, err := Attach(t.Context(), strings.TrimPrefix(nameOf(t, c), "/"))
	if err != nil {
		t.Fatal(err)
	}
	far.apart.Store(true) // as on a host that the engine's bridges are not on
	for name, c := range map[string]*Container{"run": c, "attached": again, "apart": far} {
		n := echo.NewNonce()
		r, err := c.Echo(t.Context(), netip.AddrPortFrom(c.Addr(), 7001), n)
		if err != nil || !c.Secret().Verify(n, r) || r.Name != CanaryName {
			t.Errorf("%s: %+v, %v", name, r, err)
		}
		ss, err := c.CanarySightings(t.Context())
		if err != nil || !slices.ContainsFunc(ss, func(s echo.Sighting) bool { return s.Name == CanaryName && s.Nonce == n }) {
			t.Errorf("%s: %v, %v; want the one of %s", name, ss, err, n)
		}
		seen(t, c, CanaryName, n)
	}
}

// A kept canary that has died is no witness, and PID 1 does not go with it.
func TestKeptCanaryDies(t *testing.T) {
	t.Parallel()
	c := runBundle(t, WithCanary(7001))
	killDaemon(t, c, "canary")
	for deadline := time.Now().Add(5 * time.Second); ; {
		if _, err := c.Echo(t.Context(), netip.AddrPortFrom(c.Addr(), 7001), echo.NewNonce()); err != nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("it answers although it was killed")
		}
	}
	if _, err := c.CanarySightings(t.Context()); err == nil {
		t.Error("a dead canary's silence is taken for a witness")
	}
}

func TestNoKeptCanary(t *testing.T) {
	t.Parallel()
	if _, err := new(Container).CanarySightings(t.Context()); err == nil {
		t.Error("a bundle without a canary tells what it saw")
	}
}
