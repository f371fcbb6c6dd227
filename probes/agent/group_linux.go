package agent

import (
	"golang.org/x/sys/unix"
)

func sendGroup(s *stream, a Attempt, r *Result) error { return sendTo(s, a, r) }

func sendBroadcast(s *stream, a Attempt, r *Result) error {
	if err := unix.SetsockoptInt(s.fd, unix.SOL_SOCKET, unix.SO_BROADCAST, 1); err != nil {
		return err
	}
	return sendTo(s, a, r)
}

// sendExtHeaders sends behind a destination-options header of eight bytes that says nothing (RFC 8200 §4.6: PadN of four).
func sendExtHeaders(s *stream, a Attempt, r *Result) error {
	r.Stage = StagePrepare
	if err := unix.SetsockoptString(s.fd, unix.IPPROTO_IPV6, unix.IPV6_DSTOPTS, "\x00\x00\x01\x04\x00\x00\x00\x00"); err != nil {
		return err
	}
	r.Stage = StageWrite
	return sendTo(s, a, r)
}

func sendFrames(*stream, Attempt, *Result) error { return unix.ENOSYS }
