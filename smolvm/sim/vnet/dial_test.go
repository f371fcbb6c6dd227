//go:build linux

package vnet

import (
	"errors"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Where a flow leads is decided before anything is dialled.
func TestRoute(t *testing.T) {
	const socket = "/run/world"
	world := func(at string) route { return route{to: netip.MustParseAddrPort(at), world: true} }
	host := func(at string) route { return route{to: netip.MustParseAddrPort(at)} }
	for _, c := range []struct {
		name, dst string
		cfg       Config
		want      route
		none      bool
	}{
		{"loopback", "127.0.0.1:80", Config{Backend: TSI}, host("127.0.0.1:80"), false},
		{"all of loopback", "127.77.0.2:80", Config{Backend: TSI}, host("127.77.0.2:80"), false},
		{"loopback v6", "[::1]:80", Config{Backend: TSI}, host("[::1]:80"), false},
		{"no world", testNet + ":80", Config{Backend: TSI}, route{}, true},
		{"no world v6", "[2001:db8::1]:80", Config{Backend: TSI}, route{}, true},
		{"world", testNet + ":80", Config{Backend: TSI, World: socket}, world(testNet + ":80"), false},
		{"open world", testNet + ":80", Config{Backend: TSI, World: WorldOpen}, host(testNet + ":80"), false},
		{"gateway", "100.96.0.1:80", Config{Backend: VirtioNet, HostGateway: true}, host("127.0.0.1:80"), false},
		{"gateway v6", "[fd53:4d00::1]:80", Config{Backend: VirtioNet, HostGateway: true}, host("[::1]:80"), false},
		{"gateway of old", "100.96.0.1:80", Config{Backend: VirtioNet, World: socket}, world("100.96.0.1:80"), false},
		{"gateway on tsi", "100.96.0.1:80", Config{Backend: TSI, HostGateway: true}, route{}, true},
		{"resolver", "127.0.0.53:53", Config{Backend: TSI}, route{}, true},
		{"resolver, world", "127.0.0.1:53", Config{Backend: TSI, World: socket}, world("127.0.0.1:53"), false},
		{"resolver by the gateway", "100.96.0.1:53", Config{Backend: VirtioNet, HostGateway: true, World: socket}, world("100.96.0.1:53"), false},
		{"mapped", "[::ffff:127.0.0.1]:80", Config{Backend: TSI}, route{}, true},
		{"unspecified", "0.0.0.0:80", Config{Backend: TSI, World: WorldOpen}, route{}, true},
		{"multicast", "224.0.0.251:5353", Config{Backend: TSI, World: WorldOpen}, route{}, true},
		{"broadcast", "255.255.255.255:67", Config{Backend: TSI, World: WorldOpen}, route{}, true},
		{"link-local", "[fe80::1]:80", Config{Backend: TSI}, route{}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := &dialer{cfg: c.cfg}
			got, err := d.route(netip.MustParseAddrPort(c.dst))
			if errors.Is(err, errNoRoute) != c.none {
				t.Fatalf("route(%s) = %v, want no route: %v", c.dst, err, c.none)
			}
			same := cmp.Options{cmp.AllowUnexported(route{}), cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b })}
			if diff := cmp.Diff(c.want, got, same); diff != "" {
				t.Errorf("route(%s): %s", c.dst, diff)
			}
		})
	}
}
