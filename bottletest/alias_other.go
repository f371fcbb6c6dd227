//go:build !linux

package bottletest

import (
	"fmt"
	"net"
	"net/netip"
)

// thisHost is the host that the process runs on. On macOS an address is added by root, by hand: those that were are used.
type thisHost struct{}

var _ hostAddresses = thisHost{}

// loopbacks are those that somebody has added: 127.0.0.1 is everybody's.
func (thisHost) loopbacks() []netip.Addr {
	return loopbackInterface(func(a netip.Addr) bool { return a.IsLoopback() && a != netip.AddrFrom4([4]byte{127, 0, 0, 1}) })
}

func (thisHost) idle() []netip.Addr {
	return loopbackInterface(func(a netip.Addr) bool { return !a.IsLoopback() && !a.IsLinkLocalUnicast() })
}

func (thisHost) candidates() []netip.Addr { return nil }

func (thisHost) add(a netip.Addr, _ string) error { return fmt.Errorf("adding %s: %w", a, errMayNot) }

func (thisHost) remove(netip.Addr, string) error { return nil }

// shared is empty: a person who is asked for one command gives the bottle an address that nothing else answers at.
func (thisHost) shared() []netip.Addr { return nil }

// hint names the next address of a's block that is not there.
func (thisHost) hint(a netip.Addr) string {
	there := map[netip.Addr]bool{}
	for _, have := range loopbackInterface(func(netip.Addr) bool { return true }) {
		there[have] = true
	}
	for there[a] {
		a = a.Next()
	}
	return fmt.Sprintf("missing: sudo ifconfig lo0 alias %s/32", a)
}

// loopbackInterface are the IPv4 addresses of the loopback interfaces that want takes.
func loopbackInterface(want func(netip.Addr) bool) []netip.Addr {
	all, err := net.Interfaces()
	if err != nil {
		return nil
	}
	var found []netip.Addr
	for _, i := range all {
		if i.Flags&net.FlagLoopback == 0 {
			continue
		}
		addrs, _ := i.Addrs()
		for _, a := range addrs {
			if p, err := netip.ParsePrefix(a.String()); err == nil && p.Addr().Is4() && want(p.Addr()) {
				found = append(found, p.Addr())
			}
		}
	}
	return found
}
