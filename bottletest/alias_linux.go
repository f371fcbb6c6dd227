package bottletest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// aliasTries bounds how many addresses are tried.
const aliasTries = 32

// thisHost is the host that the process runs on.
type thisHost struct{}

var _ hostAddresses = thisHost{}

// loopbacks: all of 127/8 is there without being added.
func (thisHost) loopbacks() []netip.Addr {
	var all []netip.Addr
	for _, n := range rand.Perm(lastLoopback - firstLoopback + 1) {
		if n += firstLoopback; n != resolvedStub && n != resolvedProxy {
			all = append(all, netip.AddrFrom4([4]byte{127, 0, 0, byte(n)}))
		}
	}
	return all
}

func (thisHost) candidates() []netip.Addr {
	base := aliasPool.Addr().As4()
	var all []netip.Addr
	for range aliasTries {
		all = append(all, netip.AddrFrom4([4]byte{base[0], base[1], byte(rand.IntN(256)), byte(1 + rand.IntN(254))}))
	}
	return all
}

func (thisHost) add(a netip.Addr, label string) error {
	if err := unrouted(a); err != nil {
		return err
	}
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		return fmt.Errorf("adding %s: the loopback interface: %w", a, err)
	}
	err = netlink.AddrAdd(lo, loopbackAddr(a, label))
	switch {
	case errors.Is(err, unix.EPERM), errors.Is(err, unix.EACCES):
		return fmt.Errorf("adding %s to lo: %w: %w", a, errMayNot, err)
	case errors.Is(err, unix.EEXIST):
		return fmt.Errorf("adding %s to lo: %w", a, errTaken)
	case err != nil:
		return fmt.Errorf("adding %s to lo: %w", a, err)
	}
	return nil
}

// unrouted fails with errTaken where a is an address of this host or a route other than the default one leads there: a VPN's
// network, say, which the bottle would shadow.
func unrouted(a netip.Addr) error {
	routes, err := netlink.RouteGetWithOptions(a.AsSlice(), &netlink.RouteGetOptions{FIBMatch: true})
	if errors.Is(err, unix.ENETUNREACH) || errors.Is(err, unix.EHOSTUNREACH) || errors.Is(err, unix.EACCES) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("asking for the route to %s: %w", a, err)
	}
	for _, r := range routes {
		if r.Dst == nil {
			continue
		}
		if ones, _ := r.Dst.Mask.Size(); ones > 0 {
			return fmt.Errorf("%s: %w by the route to %s", a, errTaken, r.Dst)
		}
	}
	return nil
}

func (thisHost) remove(a netip.Addr, label string) error {
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		return fmt.Errorf("removing %s: the loopback interface: %w", a, err)
	}
	if err := netlink.AddrDel(lo, loopbackAddr(a, label)); err != nil && !errors.Is(err, unix.EADDRNOTAVAIL) {
		return fmt.Errorf("removing %s from lo: %w", a, err)
	}
	return nil
}

func loopbackAddr(a netip.Addr, label string) *netlink.Addr {
	return &netlink.Addr{IPNet: &net.IPNet{IP: a.AsSlice(), Mask: net.CIDRMask(a.BitLen(), a.BitLen())}, Scope: unix.RT_SCOPE_HOST, Label: label}
}

// idle: whoever put an address of the pool on lo did it for bottles.
func (thisHost) idle() []netip.Addr {
	return slices.DeleteFunc(addressesOf(func(i net.Interface) bool { return i.Flags&net.FlagLoopback != 0 }), func(a netip.Addr) bool { return !aliasPool.Contains(a) })
}

// shared lists the addresses of bridges first: what is behind one is this machine's own, and behind a network card is the LAN.
func (thisHost) shared() []netip.Addr {
	bridge := func(i net.Interface) bool {
		_, err := os.Stat(filepath.Join("/sys/class/net", i.Name, "bridge"))
		return err == nil
	}
	loopback := func(i net.Interface) bool { return i.Flags&net.FlagLoopback != 0 }
	return append(addressesOf(bridge), addressesOf(func(i net.Interface) bool { return !bridge(i) && !loopback(i) })...)
}

// addressesOf are the IPv4 addresses, none of them loopback or link-local, of the interfaces that are up and that want names.
func addressesOf(want func(net.Interface) bool) []netip.Addr {
	all, err := net.Interfaces()
	if err != nil {
		return nil
	}
	var found []netip.Addr
	for _, i := range all {
		if i.Flags&net.FlagUp == 0 || !want(i) {
			continue
		}
		addrs, _ := i.Addrs()
		for _, a := range addrs {
			p, err := netip.ParsePrefix(a.String())
			if err == nil && p.Addr().Is4() && !p.Addr().IsLoopback() && !p.Addr().IsLinkLocalUnicast() {
				found = append(found, p.Addr())
			}
		}
	}
	return found
}

func (thisHost) hint(a netip.Addr) string {
	return fmt.Sprintf("missing: sudo ip addr add %s/32 dev lo", a)
}
