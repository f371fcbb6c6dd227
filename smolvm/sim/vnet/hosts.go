//go:build linux

package vnet

import (
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"time"
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

func (i *interfaces) refresh() {
	i.read, i.own, i.bridged = time.Now(), make(map[netip.Addr]bool), nil
	all, err := net.Interfaces()
	if err != nil {
		return
	}
	for _, nic := range all {
		addrs, err := nic.Addrs()
		if err != nil {
			continue // it has gone since
		}
		bridge := len(addrs) > 0 && isPrivateBridge(nic.Name)
		for _, addr := range addrs {
			p, err := netip.ParsePrefix(addr.String())
			if err != nil {
				continue
			}
			i.own[p.Addr()] = true
			if bridge && !p.Addr().IsLinkLocalUnicast() && !p.IsSingleIP() {
				i.bridged = append(i.bridged, bridgedSubnet{p.Masked(), nic.Name})
			}
		}
	}
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

// isPrivateBridge reports whether name is a bridge of this machine's own, as
// container engines make them. One with a network card as a port is the LAN.
func isPrivateBridge(name string) bool {
	dir := filepath.Join("/sys/class/net", name)
	if _, err := os.Stat(filepath.Join(dir, "bridge")); err != nil {
		return false
	}
	ports, err := os.ReadDir(filepath.Join(dir, "brif"))
	if err != nil {
		return false
	}
	for _, p := range ports {
		if _, err := os.Stat(filepath.Join("/sys/class/net", p.Name(), "device")); err == nil {
			return false
		}
	}
	return true
}
