package agent

import (
	"golang.org/x/sys/unix"
)

// sendGroup joins the group, and sends to it, as routes lead and on every interface that is up but the loopback, where nobody else is. What is
// sent does not come back to the guest, so what is heard is others'. At the group's port everybody's datagrams are heard, and where that port is taken only answers.
func sendGroup(s *stream, a Attempt, r *Result) error {
	family, _ := sockaddr(a.Addr)
	all, err := links()
	if err != nil {
		r.Stage = StagePrepare
		return err
	}
	_ = unix.SetsockoptInt(s.fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1)
	var here unix.Sockaddr = &unix.SockaddrInet4{Port: int(a.Addr.Port())}
	if family == unix.AF_INET6 {
		here = &unix.SockaddrInet6{Port: int(a.Addr.Port())}
	}
	_ = unix.Bind(s.fd, here)
	_ = unix.SetsockoptByte(s.fd, unix.IPPROTO_IP, unix.IP_MULTICAST_LOOP, 0)
	_ = unix.SetsockoptInt(s.fd, unix.IPPROTO_IPV6, unix.IPV6_MULTICAST_LOOP, 0)
	err = sendTo(s, a, r) // tsi has no interface but the loopback, and takes the datagram at the call
	for _, l := range all {
		if !l.loopback && s.sendGroupOn(a, l.index) == nil {
			err = nil
		}
	}
	return err
}

func (s *stream) sendGroupOn(a Attempt, index int) error {
	family, sa := sockaddr(a.Addr)
	if six, ok := sa.(*unix.SockaddrInet6); ok && family == unix.AF_INET6 {
		_ = unix.SetsockoptIPv6Mreq(s.fd, unix.IPPROTO_IPV6, unix.IPV6_JOIN_GROUP, &unix.IPv6Mreq{Multiaddr: six.Addr, Interface: uint32(index)})
		_ = unix.SetsockoptInt(s.fd, unix.IPPROTO_IPV6, unix.IPV6_MULTICAST_LOOP, 0)
		if err := unix.SetsockoptInt(s.fd, unix.IPPROTO_IPV6, unix.IPV6_MULTICAST_IF, index); err != nil {
			return err
		}
		return s.sendEach(a, sa)
	}
	on := &unix.IPMreqn{Multiaddr: a.Addr.Addr().As4(), Ifindex: int32(index)}
	_ = unix.SetsockoptIPMreqn(s.fd, unix.IPPROTO_IP, unix.IP_ADD_MEMBERSHIP, on)
	_ = unix.SetsockoptByte(s.fd, unix.IPPROTO_IP, unix.IP_MULTICAST_LOOP, 0)
	if err := unix.SetsockoptIPMreqn(s.fd, unix.IPPROTO_IP, unix.IP_MULTICAST_IF, on); err != nil {
		return err
	}
	return s.sendEach(a, sa)
}

// sendBroadcast sends as routes lead, and on every interface but the loopback: the address of all hosts has no route of its own.
func sendBroadcast(s *stream, a Attempt, r *Result) error {
	if err := unix.SetsockoptInt(s.fd, unix.SOL_SOCKET, unix.SO_BROADCAST, 1); err != nil {
		return err
	}
	err := sendTo(s, a, r)
	all, _ := links()
	for _, l := range all {
		if l.loopback {
			continue
		}
		_, sa := sockaddr(a.Addr)
		for _, m := range a.Messages() {
			if s.sendOne(m, unix.PktInfo4(&unix.Inet4Pktinfo{Ifindex: int32(l.index)}), sa) == nil {
				err = nil
			}
		}
	}
	return err
}

// sendExtHeaders sends behind a destination-options header of eight bytes that says nothing (RFC 8200 §4.6: PadN of four).
func sendExtHeaders(s *stream, a Attempt, r *Result) error {
	if err := unix.SetsockoptString(s.fd, unix.IPPROTO_IPV6, unix.IPV6_DSTOPTS, "\x00\x00\x01\x04\x00\x00\x00\x00"); err != nil {
		r.Stage = StagePrepare
		return err
	}
	return sendTo(s, a, r)
}
