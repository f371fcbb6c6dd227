package probes

import (
	"encoding/binary"
	"net"
	"net/netip"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// listenOn hears what is sent to group and arrives on i. The net package would bind to the wildcard address and hear what is sent to
// the host's own addresses as well; and a group that anybody here joined on another interface would be heard from there, but for the
// device that the socket is bound to.
func listenOn(i *net.Interface, group netip.AddrPort) (net.PacketConn, error) {
	family, sa := groupSockaddr(group, i.Index)
	fd, err := unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	f := os.NewFile(uintptr(fd), "group")
	defer func() { _ = f.Close() }() // the connection has a descriptor of its own
	// Others may hear what is sent to a port that has a name: it may be a well-known one.
	if group.Port() != 0 {
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1); err != nil {
			return nil, os.NewSyscallError("setsockopt", err)
		}
	}
	if err := unix.BindToDevice(fd, i.Name); err != nil {
		return nil, os.NewSyscallError("binding to "+i.Name, err)
	}
	if err := unix.Bind(fd, sa); err != nil {
		return nil, os.NewSyscallError("bind", err)
	}
	if err := join(fd, i, group.Addr()); err != nil {
		return nil, os.NewSyscallError("joining the group", err)
	}
	return net.FilePacketConn(f)
}

// join makes the host take what is sent to group on i. A broadcast it takes anyway.
func join(fd int, i *net.Interface, group netip.Addr) error {
	switch {
	case !group.IsMulticast():
		return nil
	case group.Is4():
		return unix.SetsockoptIPMreqn(fd, unix.IPPROTO_IP, unix.IP_ADD_MEMBERSHIP, &unix.IPMreqn{Multiaddr: group.As4(), Ifindex: int32(i.Index)})
	}
	return unix.SetsockoptIPv6Mreq(fd, unix.IPPROTO_IPV6, unix.IPV6_JOIN_GROUP, &unix.IPv6Mreq{Multiaddr: group.As16(), Interface: uint32(i.Index)})
}

func groupSockaddr(group netip.AddrPort, index int) (family int, sa unix.Sockaddr) {
	ip, port := group.Addr(), int(group.Port())
	if ip.Is4() {
		return unix.AF_INET, &unix.SockaddrInet4{Addr: ip.As4(), Port: port}
	}
	return unix.AF_INET6, &unix.SockaddrInet6{Addr: ip.As16(), Port: port, ZoneId: uint32(index)}
}

// sendOn makes a socket send what goes to groups and to everybody out on i. It is not bound to the device: this host's answer comes
// over the loopback.
func sendOn(i *net.Interface, on netip.Addr) func(network, address string, raw syscall.RawConn) error {
	return func(_, _ string, raw syscall.RawConn) error {
		var err error
		if failed := raw.Control(func(fd uintptr) { err = sendGroupsOn(int(fd), i.Index, on) }); failed != nil {
			return failed
		}
		return err
	}
}

func sendGroupsOn(fd, index int, on netip.Addr) error {
	if on.Is6() {
		return unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_MULTICAST_IF, index)
	}
	// What is sent to 255.255.255.255 goes by IP_UNICAST_IF, whose value is big-endian.
	swapped := binary.NativeEndian.Uint32(binary.BigEndian.AppendUint32(nil, uint32(index)))
	if err := unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_UNICAST_IF, int(int32(swapped))); err != nil {
		return err
	}
	return unix.SetsockoptIPMreqn(fd, unix.IPPROTO_IP, unix.IP_MULTICAST_IF, &unix.IPMreqn{Ifindex: int32(index)})
}
