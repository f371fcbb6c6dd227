package agent

import (
	"errors"
	"net/netip"

	"golang.org/x/sys/unix"
)

// fromSource dials from Also, an address that the guest gives itself first and that is taken away again. Who may not do that may
// still bind it as a proxy does (IP_TRANSPARENT, which asks for CAP_NET_RAW only).
func fromSource(s *stream, a Attempt, r *Result) error {
	r.Stage = StagePrepare
	undo, err := takeAddress(a.Also.Addr())
	defer undo()
	if err := s.socket(unix.AF_INET, unix.SOCK_STREAM, unix.IPPROTO_TCP); err != nil {
		return err
	}
	if err != nil && unix.SetsockoptInt(s.fd, unix.IPPROTO_IP, unix.IP_TRANSPARENT, 1) != nil {
		return err
	}
	if err := unix.Bind(s.fd, &unix.SockaddrInet4{Addr: a.Also.Addr().As4(), Port: int(a.Also.Port())}); err != nil {
		return err
	}
	r.Stage = StageConnect
	_, sa := sockaddr(a.Addr)
	err = s.reconnect(sa)
	if r.decided(s, err) != nil {
		return err
	}
	return r.converse(s, a)
}

// takeAddress adds ip to the first interface that is up. One that is there already is left there.
func takeAddress(ip netip.Addr) (undo func(), err error) {
	all, err := links()
	if err != nil {
		return func() {}, err
	}
	if len(all) == 0 {
		return func() {}, unix.ENODEV
	}
	on := all[0].index
	switch err := changeAddr(unix.RTM_NEWADDR, unix.NLM_F_CREATE|unix.NLM_F_EXCL, on, ip); {
	case errors.Is(err, unix.EEXIST):
		return func() {}, nil
	case err != nil:
		return func() {}, err
	}
	return func() { _ = changeAddr(unix.RTM_DELADDR, 0, on, ip) }, nil
}

func changeAddr(kind, flags, index int, ip netip.Addr) error {
	head := []byte{unix.AF_INET, 32, 0, 0, 0, 0, 0, 0}
	putIndex(head[4:], index)
	return rtnetlink(kind, flags, head, attr(unix.IFA_LOCAL, ip.AsSlice()), attr(unix.IFA_ADDRESS, ip.AsSlice()))
}
