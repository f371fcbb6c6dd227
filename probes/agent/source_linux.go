package agent

import (
	"bytes"
	"encoding/binary"
	"net/netip"

	"golang.org/x/sys/unix"
)

// fromSource gives the guest a second address and dials from it. The address is taken away again.
func fromSource(s *stream, a Attempt, _ *[][]byte) (Stage, error) {
	index, err := firstInterface()
	if err != nil {
		return StageSocket, err
	}
	if err := changeAddr(unix.RTM_NEWADDR, unix.NLM_F_CREATE|unix.NLM_F_EXCL, index, a.Also.Addr()); err != nil {
		return StageConnect, err
	}
	defer func() { _ = changeAddr(unix.RTM_DELADDR, 0, index, a.Also.Addr()) }()
	family, sa := sockaddr(a.Addr)
	if err := s.socket(family, unix.SOCK_STREAM, unix.IPPROTO_TCP); err != nil {
		return StageSocket, err
	}
	if err := unix.Bind(s.fd, &unix.SockaddrInet4{Addr: a.Also.Addr().As4()}); err != nil {
		return StageConnect, err
	}
	return StageConnect, s.reconnect(sa)
}

// byRoute leads to the attempt's address by way of the allowed destination, and where that is no neighbour straight over the guest's
// interface, as root in a guest can. The route is taken away again.
func byRoute(s *stream, a Attempt, _ *[][]byte) (Stage, error) {
	index, err := firstInterface()
	if err != nil {
		return StageSocket, err
	}
	var undo netip.Addr
	err = changeRoute(unix.RTM_NEWROUTE, unix.NLM_F_CREATE|unix.NLM_F_REPLACE, index, a.Addr.Addr(), a.Also.Addr())
	if undo = a.Also.Addr(); err != nil {
		undo = netip.Addr{}
		err = changeRoute(unix.RTM_NEWROUTE, unix.NLM_F_CREATE|unix.NLM_F_REPLACE, index, a.Addr.Addr(), undo)
	}
	if err != nil {
		return StageConnect, err
	}
	defer func() { _ = changeRoute(unix.RTM_DELROUTE, 0, index, a.Addr.Addr(), undo) }()
	return plainly(s, a, nil)
}

// firstInterface is the number of the guest's first interface that is not the loopback, and of the loopback where there is no other.
func firstInterface() (int, error) {
	const loopback, most = 1, 16
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, err
	}
	defer func() { _ = unix.Close(fd) }()
	for i := loopback + 1; i <= most; i++ {
		if _, err := interfaceName(fd, i); err == nil {
			return i, nil
		}
	}
	return loopback, nil
}

func interfaceName(fd, index int) (string, error) {
	ifr, err := unix.NewIfreq("")
	if err != nil {
		return "", err
	}
	ifr.SetUint32(uint32(index))
	if err := unix.IoctlIfreq(fd, unix.SIOCGIFNAME, ifr); err != nil {
		return "", err
	}
	return ifr.Name(), nil
}

func changeAddr(kind, flags, index int, ip netip.Addr) error {
	head := []byte{unix.AF_INET, 32, 0, 0}
	head = binary.NativeEndian.AppendUint32(head, uint32(index))
	return rtnetlink(kind, flags, head, attr(unix.IFA_LOCAL, ip.AsSlice()), attr(unix.IFA_ADDRESS, ip.AsSlice()))
}

func changeRoute(kind, flags, index int, to, by netip.Addr) error {
	scope := byte(unix.RT_SCOPE_LINK)
	attrs := [][]byte{attr(unix.RTA_DST, to.AsSlice()), attr(unix.RTA_OIF, binary.NativeEndian.AppendUint32(nil, uint32(index)))}
	if by.IsValid() {
		scope = unix.RT_SCOPE_UNIVERSE
		attrs = append(attrs, attr(unix.RTA_GATEWAY, by.AsSlice()))
	}
	head := []byte{unix.AF_INET, 32, 0, 0, unix.RT_TABLE_MAIN, unix.RTPROT_BOOT, scope, unix.RTN_UNICAST, 0, 0, 0, 0}
	return rtnetlink(kind, flags, head, attrs...)
}

// attr is one attribute of a netlink message, padded.
func attr(kind int, value []byte) []byte {
	b := binary.NativeEndian.AppendUint16(nil, uint16(4+len(value)))
	b = binary.NativeEndian.AppendUint16(b, uint16(kind))
	b = append(b, value...)
	return append(b, make([]byte, -len(b)&3)...)
}

// rtnetlink makes one request and returns what the kernel says of it.
func rtnetlink(kind, flags int, head []byte, attrs ...[]byte) error {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(fd) }()
	body := append(head, bytes.Join(attrs, nil)...)
	m := binary.NativeEndian.AppendUint32(nil, uint32(unix.SizeofNlMsghdr+len(body)))
	m = binary.NativeEndian.AppendUint16(m, uint16(kind))
	m = binary.NativeEndian.AppendUint16(m, uint16(flags|unix.NLM_F_REQUEST|unix.NLM_F_ACK))
	m = append(m, make([]byte, 8)...)
	if err := unix.Sendto(fd, append(m, body...), 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return err
	}
	buf := make([]byte, 4096)
	n, _, err := unix.Recvfrom(fd, buf, 0)
	if err != nil {
		return err
	}
	if n < unix.SizeofNlMsghdr+4 || binary.NativeEndian.Uint16(buf[4:]) != unix.NLMSG_ERROR {
		return unix.EPROTO
	}
	if code := int32(binary.NativeEndian.Uint32(buf[unix.SizeofNlMsghdr:])); code != 0 {
		return unix.Errno(-code)
	}
	return nil
}
