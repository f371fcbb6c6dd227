package probes

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
)

// NewGroupCanary brings up a canary that hears what is sent to group, a multicast group or a broadcast address, and arrives on the
// interface that has the address on, and no other: who can send to everybody on a wire needs no address of the host's. A named port is
// shared with whoever listens to the group already; port 0 is one that nobody else has, which Addr tells: what hears a group answers
// what is sent to it, and two canaries on one port would answer each other's controls. It proves itself to whoever sent as a UDPCanary
// does. There is one on Linux only. It must be closed.
func NewGroupCanary(name string, group netip.AddrPort, on netip.Addr) (*UDPCanary, error) {
	conn, err := listenGroup(group, on)
	if err != nil {
		return nil, fmt.Errorf("probes: a canary for %q on %q: %w", group, on, err)
	}
	if at, ok := conn.LocalAddr().(*net.UDPAddr); ok && group.Port() == 0 {
		group = netip.AddrPortFrom(group.Addr(), at.AddrPort().Port())
	}
	c := &UDPCanary{name: name, addr: group, conn: newEarshot(conn), dial: func(ctx context.Context) (net.Conn, error) { return dialGroup(ctx, group, on) }}
	c.begin()
	return c, nil
}

func listenGroup(group netip.AddrPort, on netip.Addr) (net.PacketConn, error) {
	if !group.IsValid() || group.Addr().Is4() != on.Is4() {
		return nil, errors.New("want a group, and an address of an interface of the same family")
	}
	i, err := interfaceOf(on)
	if err != nil {
		return nil, err
	}
	return listenOn(i, zoned(group, i))
}

// zoned is group on i: a link's own IPv6 group means nothing without its link.
func zoned(group netip.AddrPort, i *net.Interface) netip.AddrPort {
	if ip := group.Addr(); ip.IsLinkLocalMulticast() || ip.IsInterfaceLocalMulticast() {
		return netip.AddrPortFrom(ip.WithZone(i.Name), group.Port()) // without effect on IPv4
	}
	return group
}

// interfaceOf is the interface of this host that has addr.
func interfaceOf(addr netip.Addr) (*net.Interface, error) {
	all, err := net.Interfaces()
	if err != nil {
		return nil, err
	}
	for _, i := range all {
		addrs, err := i.Addrs()
		if err != nil {
			continue // it went away
		}
		for _, a := range addrs {
			if p, err := netip.ParsePrefix(a.String()); err == nil && p.Addr() == addr.WithZone("") && (addr.Zone() == "" || addr.Zone() == i.Name) {
				return &i, nil
			}
		}
	}
	return nil, errors.New("no interface has the address")
}

// dialGroup is a connection of which what is written goes to group from the address on, and what is read came from anybody: a group
// has no address to answer from.
func dialGroup(ctx context.Context, group netip.AddrPort, on netip.Addr) (net.Conn, error) {
	i, err := interfaceOf(on)
	if err != nil {
		return nil, err
	}
	config := net.ListenConfig{Control: sendOn(i, on)}
	conn, err := config.ListenPacket(ctx, udpNetwork(on), netip.AddrPortFrom(on, 0).String())
	if err != nil {
		return nil, err
	}
	udp := conn.(*net.UDPConn) // what ListenPacket returns for udp
	return groupConn{udp, zoned(group, i)}, nil
}

// groupConn is a socket whose peer is a group.
type groupConn struct {
	*net.UDPConn
	group netip.AddrPort
}

func (c groupConn) Write(b []byte) (int, error) { return c.WriteToUDPAddrPort(b, c.group) }

func (c groupConn) RemoteAddr() net.Addr { return net.UDPAddrFromAddrPort(c.group) }
