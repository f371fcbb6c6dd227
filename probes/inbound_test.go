package probes

import (
	"net/netip"
	"testing"
)

// An address that is not this host's is not dialled: a try that left this machine could meet anything.
func TestIntrusionStaysAtHome(t *testing.T) {
	c := newCanary(t, "home", anyLoopback)
	for at, want := range map[netip.AddrPort]bool{c.Addr(): true, netip.MustParseAddrPort("198.51.100.77:443"): false} {
		in := &intrusion{at: at}
		in.try(t.Context())
		if got := in.inside != "" || in.vague != ""; got != want {
			t.Errorf("%s: inside %q, vague %q", at, in.inside, in.vague)
		}
	}
}
