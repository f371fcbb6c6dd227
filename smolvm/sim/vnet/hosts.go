//go:build linux

package vnet

import (
	"net/netip"
	"sync"
	"time"

	"github.com/vishvananda/netlink"
)

const (
	// interfacesFresh is how long a look at the host's interfaces is believed
	// for an address that was found.
	interfacesFresh = 250 * time.Millisecond
	// interfacesRetry is how long it is believed for one that was not: a
	// container network that has just been made has to be found.
	interfacesRetry = 20 * time.Millisecond
)

// A place is where an address belongs, seen from the host.
type place int

const (
	elsewhere place = iota // off this machine
	ownAddress
	onBridge
)

// interfaces knows which addresses belong to this machine. The zero value is
// ready. Safe for concurrent use.
type interfaces struct {
	mu      sync.Mutex
	read    time.Time
	own     map[netip.Addr]bool
	bridged []bridgedSubnet
}

type bridgedSubnet struct {
	prefix netip.Prefix
	bridge string
}

// locate says where a belongs and, for onBridge, the bridge it is behind.
// Addresses that name no single host are elsewhere.
func (i *interfaces) locate(a netip.Addr) (place, string) {
	switch {
	case !a.IsValid() || a.IsUnspecified() || a.IsMulticast() || a.IsLinkLocalUnicast():
		return elsewhere, ""
	case loopbackV4.Contains(a) || a == netip.IPv6Loopback():
		return ownAddress, ""
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	if time.Since(i.read) > interfacesFresh {
		i.refresh()
	}
	where, bridge := i.find(a)
	if where == elsewhere && time.Since(i.read) > interfacesRetry {
		i.refresh()
		where, bridge = i.find(a)
	}
	return where, bridge
}

func (i *interfaces) find(a netip.Addr) (place, string) {
	if i.own[a] {
		return ownAddress, ""
	}
	for _, b := range i.bridged {
		if b.prefix.Contains(a) && a != b.prefix.Addr() && a != lastAddr(b.prefix) {
			return onBridge, b.bridge
		}
	}
	return elsewhere, ""
}

// refresh reads the host's interfaces. By netlink and not from /sys, which may be
// that of another network namespace.
func (i *interfaces) refresh() {
	i.read, i.own, i.bridged = time.Now(), make(map[netip.Addr]bool), nil
	addrs, err := netlink.AddrList(nil, netlink.FAMILY_ALL)
	if err != nil {
		return
	}
	links, err := netlink.LinkList()
	if err != nil {
		return
	}
	bridges := privateBridges(links)
	for _, addr := range addrs {
		p, err := netip.ParsePrefix(addr.IPNet.String())
		if err != nil {
			continue
		}
		i.own[p.Addr()] = true
		if name := bridges[addr.LinkIndex]; name != "" && !p.Addr().IsLinkLocalUnicast() && !p.IsSingleIP() {
			i.bridged = append(i.bridged, bridgedSubnet{p.Masked(), name})
		}
	}
}

// privateBridges are the names of the bridges of this machine's own, as
// container engines make them, by index. One with a network card as a port, an
// interface of no kind, is the LAN.
func privateBridges(links []netlink.Link) map[int]string {
	bridges := make(map[int]string)
	for _, l := range links {
		if l.Type() == "bridge" {
			bridges[l.Attrs().Index] = l.Attrs().Name
		}
	}
	for _, l := range links {
		if l.Type() == "device" {
			delete(bridges, l.Attrs().MasterIndex)
		}
	}
	return bridges
}

// lastAddr is the broadcast address of p.
func lastAddr(p netip.Prefix) netip.Addr {
	b := p.Addr().AsSlice()
	for bit := p.Bits(); bit < len(b)*8; bit++ {
		b[bit/8] |= 0x80 >> (bit % 8)
	}
	a, _ := netip.AddrFromSlice(b)
	return a
}
