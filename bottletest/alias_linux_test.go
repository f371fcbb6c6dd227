package bottletest

import (
	"errors"
	"slices"
	"testing"

	"bottle.internal/internal/owner"
)

// claimPrivate gives a launch an address that is added to this host, or skips.
func claimPrivate(t *testing.T) *launch {
	t.Helper()
	l := fakeAliasLaunch(t, "1.9.3")
	if err := l.claimAlias(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.record.Alias.release() })
	if l.record.Alias.Label == "" {
		t.Skip("needs the right to add an address to lo")
	}
	return l
}

func TestPrivateAliasComesAndGoes(t *testing.T) {
	l := claimPrivate(t)
	a := l.record.Alias
	if !aliasPool.Contains(a.Addr) || !errors.Is(unrouted(a.Addr), errTaken) {
		t.Errorf("%+v is not on this host: %v", a, unrouted(a.Addr))
	}
	if err := (thisHost{}).add(a.Addr, "lo:b-other"); !errors.Is(err, errTaken) {
		t.Errorf("an address was added twice: %v", err)
	}
	other := a
	other.Label = "lo:b-other"
	if err := other.release(); err != nil || unrouted(a.Addr) == nil {
		t.Errorf("an address under another's label was removed: %v", err)
	}
	for range 2 {
		if err := l.undo.run(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if err := unrouted(a.Addr); err != nil {
		t.Errorf("it is still there: %v", err)
	}
}

// TestSweepTakesADeadBottlesAddress: what a killed run added to this host goes, and its record after it.
func TestSweepTakesADeadBottlesAddress(t *testing.T) {
	l := claimPrivate(t)
	a := l.record.Alias
	removed, err := Sweep(t.Context())
	if err != nil || unrouted(a.Addr) == nil {
		t.Fatalf("the address of a living bottle was swept: %v, %v", removed, err)
	}
	l.record.Owner, l.record.Runtime = owner.ID("no-boot/1/1"), Machine
	if err := l.record.write(); err != nil {
		t.Fatal(err)
	}
	removed, err = Sweep(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := unrouted(a.Addr); err != nil {
		t.Errorf("it is still there: %v", err)
	}
	want := []string{"machine bottle-" + l.record.Slug, "machine bottle-" + l.record.Slug + "-bundle", "address " + a.Addr.String()}
	for _, name := range want {
		if !slices.Contains(removed, name) {
			t.Errorf("%q is not among what was removed: %q", name, removed)
		}
	}
	if all, err := records(); err != nil || len(all) > 1 {
		t.Errorf("its record is left: %v, %v", all, err)
	}
}
