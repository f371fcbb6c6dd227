package agent

import (
	"errors"
	"net/netip"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// sendDatagram sends the attempt's messages in its way and waits for one answer to any of them.
func sendDatagram(a Attempt, r *Result, start time.Time) (err error) {
	s := stream{deadline: start.Add(a.Budget())}
	defer s.close()
	family, sa := sockaddr(a.Addr)
	if err := s.socket(family, unix.SOCK_DGRAM, unix.IPPROTO_UDP); err != nil {
		return err
	}
	r.Stage = StageWrite
	if err := s.sendBy(a, sa, r); err != nil {
		return err
	}
	r.Stage = StageRead
	r.Reply, err = s.receive()
	return err
}

func (s *stream) sendBy(a Attempt, sa unix.Sockaddr, r *Result) error {
	switch a.Method {
	case Connected:
		if err := unix.Connect(s.fd, sa); err != nil {
			r.Stage = StageConnect
			return err
		}
		return s.sendEach(a, nil)
	case FamilyZero:
		return s.sendFamilyZero(a)
	case SameSocket:
		_, first := sockaddr(a.Also)
		_ = unix.Sendto(s.fd, []byte("BOTTLE first"), unix.MSG_NOSIGNAL, first)
	case Batched:
		return s.sendBatch(a)
	case Broadcast:
		if err := unix.SetsockoptInt(s.fd, unix.SOL_SOCKET, unix.SO_BROADCAST, 1); err != nil {
			return err
		}
	case Resolver:
		return s.sendResolvers(a)
	case ExtHeaders:
		// A destination-options header of eight bytes that says nothing: PadN of four.
		if err := unix.SetsockoptString(s.fd, unix.IPPROTO_IPV6, unix.IPV6_DSTOPTS, "\x00\x00\x01\x04\x00\x00\x00\x00"); err != nil {
			return err
		}
	}
	return s.sendEach(a, sa)
}

func (s *stream) sendEach(a Attempt, sa unix.Sockaddr) error {
	for _, m := range a.Messages() {
		if err := unix.Sendmsg(s.fd, m, nil, sa, unix.MSG_NOSIGNAL); err != nil {
			return err
		}
	}
	return nil
}

// sendResolvers sends to every nameserver of the guest's that has the socket's family.
func (s *stream) sendResolvers(a Attempt) error {
	servers, err := nameservers()
	if err != nil {
		return err
	}
	last, sent := error(unix.ENETUNREACH), false
	for _, ip := range servers {
		if ip.Is4() != a.Addr.Addr().Is4() {
			continue
		}
		_, sa := sockaddr(netip.AddrPortFrom(ip, a.Addr.Port()))
		if last = s.sendEach(a, sa); last == nil {
			sent = true
		}
	}
	if sent {
		return nil
	}
	return last
}

// sendFamilyZero names no family, which Linux takes for IPv4 in a sendto.
func (s *stream) sendFamilyZero(a Attempt) error {
	raw := rawInet4(a.Addr)
	raw.Family = unix.AF_UNSPEC
	for _, m := range a.Messages() {
		_, _, errno := unix.Syscall6(unix.SYS_SENDTO, uintptr(s.fd), uintptr(unsafe.Pointer(&m[0])), uintptr(len(m)), unix.MSG_NOSIGNAL,
			uintptr(unsafe.Pointer(&raw)), unix.SizeofSockaddrInet4)
		if errno != 0 {
			return errno
		}
	}
	return nil
}

// mmsghdr is struct mmsghdr of sendmmsg(2).
type mmsghdr struct {
	hdr unix.Msghdr
	len uint32
	_   [4]byte
}

// sendBatch sends one message to the allowed destination and one to the attempt's, in one call.
func (s *stream) sendBatch(a Attempt) error {
	to := [2]unix.RawSockaddrInet4{rawInet4(a.Also), rawInet4(a.Addr)}
	payload := [2][]byte{[]byte("BOTTLE first"), a.Messages()[0]}
	var iov [2]unix.Iovec
	var batch [2]mmsghdr
	for i := range batch {
		iov[i].Base = &payload[i][0]
		iov[i].SetLen(len(payload[i]))
		batch[i].hdr.Name = (*byte)(unsafe.Pointer(&to[i]))
		batch[i].hdr.Namelen = unix.SizeofSockaddrInet4
		batch[i].hdr.Iov = &iov[i]
		batch[i].hdr.SetIovlen(1)
	}
	n, _, errno := unix.Syscall6(unix.SYS_SENDMMSG, uintptr(s.fd), uintptr(unsafe.Pointer(&batch[0])), 2, unix.MSG_NOSIGNAL, 0, 0)
	if errno != 0 {
		return errno
	}
	if n < 2 {
		return unix.EIO
	}
	return nil
}

// receive waits for one datagram. Silence until the deadline is no error: nothing in the kernel failed.
func (s *stream) receive() ([]byte, error) {
	buf := make([]byte, MaxReply)
	for {
		n, _, err := unix.Recvfrom(s.fd, buf, 0)
		if err == nil {
			return buf[:n], nil
		}
		if err := s.again(err, unix.POLLIN); errors.Is(err, errBudget) {
			return nil, nil
		} else if err != nil {
			return nil, err
		}
	}
}
