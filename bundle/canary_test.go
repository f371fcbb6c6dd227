package bundle

import (
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
