package agent

import (
	"errors"
	"slices"

	"golang.org/x/sys/unix"
)

// ownPrefix is the length of the prefix of an address that the guest gives itself: that of every link (RFC 4291, 2.5.1).
const ownPrefix = 64

// selfConfigured dials from Also, an IPv6 address that the guest gives itself on each interface in turn, with a route of its own over that
// interface where it has none: what a router's advertisement would have it do. All of it is taken away again.
func selfConfigured(s *stream, a Attempt, r *Result) error {
	r.Stage = StagePrepare
	all, err := links()
	if err != nil {
		return err
	}
	all = slices.DeleteFunc(all, func(l link) bool { return l.loopback })
	if len(all) == 0 {
		return unix.ENODEV
	}
	return byTurns(s, all, r, func(l link, one *stream, try *Result) error { return l.dialAs(one, a, try) })
}

// dialAs dials with the address and the route in place.
func (l link) dialAs(s *stream, a Attempt, r *Result) error {
	for _, change := range []func(kind, flags int) error{
		func(kind, flags int) error { return l.address(kind, flags, a) },
		func(kind, flags int) error { return l.lead(kind, flags, a) },
	} {
		made := true
		err := change(unix.RTM_NEWADDR, unix.NLM_F_CREATE|unix.NLM_F_EXCL)
		if errors.Is(err, unix.EEXIST) {
			err, made = nil, false
		}
		if err != nil {
			return err
		}
		if made {
			defer func() { _ = change(unix.RTM_DELADDR, 0) }()
		}
	}
	if err := s.socket(unix.AF_INET6, unix.SOCK_STREAM, unix.IPPROTO_TCP); err != nil {
		return err
	}
	if err := unix.Bind(s.fd, &unix.SockaddrInet6{Addr: a.Also.Addr().As16(), Port: int(a.Also.Port())}); err != nil {
		return err
	}
	r.Stage = StageConnect
	_, sa := sockaddr(a.Addr)
	if err := s.reconnect(sa); r.decided(s, err) != nil {
		return err
	}
	return r.converse(s, a)
}

// address gives the link Also, which is good at once, or takes it.
func (l link) address(kind, flags int, a Attempt) error {
	head := []byte{unix.AF_INET6, ownPrefix, unix.IFA_F_NODAD, 0, 0, 0, 0, 0}
	putIndex(head[4:], l.index)
	ip := a.Also.Addr().AsSlice()
	return rtnetlink(kind, flags, head, attr(unix.IFA_LOCAL, ip), attr(unix.IFA_ADDRESS, ip))
}

// lead makes Addr a neighbour on the link, or takes that back.
func (l link) lead(kind, flags int, a Attempt) error {
	route := unix.RTM_NEWROUTE
	if kind == unix.RTM_DELADDR {
		route = unix.RTM_DELROUTE
	}
	head := []byte{unix.AF_INET6, 128, 0, 0, unix.RT_TABLE_MAIN, unix.RTPROT_BOOT, unix.RT_SCOPE_UNIVERSE, unix.RTN_UNICAST, 0, 0, 0, 0}
	return rtnetlink(route, flags, head, attr(unix.RTA_DST, a.Addr.Addr().AsSlice()), attr32(unix.RTA_OIF, uint32(l.index)))
}
