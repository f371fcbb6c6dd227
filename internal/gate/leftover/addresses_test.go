package leftover

import (
	"os/exec"
	"slices"
	"testing"
)

func TestAddressLeftOnLoopback(t *testing.T) {
	const address = "10.78.0.255/32"
	before := Snapshot{}
	if err := addresses(t.Context(), before); err != nil || len(before) == 0 {
		t.Fatalf("no loopback address was seen: %v", err)
	}
	if out, err := exec.Command("ip", "addr", "add", address, "dev", "lo").CombinedOutput(); err != nil {
		t.Skipf("needs the right to add an address: %v: %s", err, out)
	}
	t.Cleanup(func() { _ = exec.Command("ip", "addr", "del", address, "dev", "lo").Run() })
	after := Snapshot{}
	if err := addresses(t.Context(), after); err != nil {
		t.Fatal(err)
	}
	if ours, _ := after.Since(before); !slices.Contains(ours, "address "+address+" on lo") {
		t.Errorf("it is not said: %q", ours)
	}
}
