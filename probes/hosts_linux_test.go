package probes

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
)

// What somebody else's containers take away with them is no place for a canary, while there is another; the sandbox's own network is.
func TestForeignBridges(t *testing.T) {
	r := newRig(Site{Allowed: Target{Addr: netip.MustParseAddrPort("10.77.3.2:9797")}}, quick)
	for _, tc := range []struct {
		name, net string
		want      bool
	}{
		{"docker0", "172.17.0.1/16", false}, {"eth0", "10.0.0.5/24", false}, {"br-0123456789ab", "10.77.3.1/29", false},
		{"br-ba9876543210", "10.77.4.1/29", true}, {"bridge100", "192.168.64.1/24", false},
	} {
		n := netip.MustParsePrefix(tc.net)
		if have := r.foreign(hostAddr{n.Addr(), n, tc.name, true}); have != tc.want {
			t.Errorf("%s at %s: foreign is %t", tc.name, tc.net, have)
		}
	}
}

func TestHostsLast(t *testing.T) {
	r := newRig(Site{Allowed: Target{Addr: netip.MustParseAddrPort("10.77.3.2:9797")}}, quick)
	host, there := newNetNS(t), newNetNS(t)
	for i, tc := range []struct{ name, addr, want string }{
		{"br-ba9876543210", "10.77.4.1/29", "10.77.4.1/29"}, // there is nothing else
		{"br-0123456789ab", "10.77.3.1/29", "10.77.3.1/29"},
		{"docker0", "172.17.0.1/16", "10.77.3.1/29 172.17.0.1/16"},
	} {
		host.wire(t, tc.name, there, [2]string{tc.addr, fmt.Sprintf("fd09:%d::1/64", i)}, [2]string{fmt.Sprintf("10.8.%d.1/24", i), fmt.Sprintf("fd08:%d::1/64", i)})
		var have []string
		host.do(t, func() error {
			for _, a := range r.hosts(isBridge4) {
				have = append(have, a.Net.String())
			}
			return nil
		})
		if strings.Join(have, " ") != tc.want {
			t.Errorf("with %s: %q, want %s", tc.name, have, tc.want)
		}
	}
}
