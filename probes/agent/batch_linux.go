package agent

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// mmsghdr is struct mmsghdr of sendmmsg(2).
type mmsghdr struct {
	hdr unix.Msghdr
	len uint32
	_   [4]byte
}

// sendBatch sends one datagram to Also and one, the attempt's first message, to Addr in one call.
func sendBatch(s *stream, a Attempt, _ *Result) error {
	to := [2]unix.RawSockaddrInet4{rawInet4(a.Also), rawInet4(a.Addr)}
	payload := [2][]byte{unheard, a.Messages()[0]}
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
	for next := 0; next < len(batch); { // of a call that sent some the error is told by the next
		n, _, errno := unix.Syscall6(unix.SYS_SENDMMSG, uintptr(s.fd), uintptr(unsafe.Pointer(&batch[next])), uintptr(len(batch)-next), unix.MSG_NOSIGNAL, 0, 0)
		switch {
		case errno == 0 && n > 0:
			next += int(n)
		case errno == 0:
			return unix.EIO
		case next == 0: // Also was not sent to: Addr still is
			next++
		default:
			return errno
		}
	}
	return nil
}
