package agent

import (
	"bytes"
	"encoding/binary"
	"errors"
	"time"

	"golang.org/x/sys/unix"

	"bottle.internal/internal/echo"
)

// converse sends the messages, each but the first only if the answer to the one before is a tunnel's, and returns the answer to the
// last that was sent.
func (s *stream) converse(messages [][]byte) (Stage, []byte, error) {
	last := len(messages) - 1
	for _, m := range messages[:last] {
		if err := s.write(m); err != nil {
			return StageWrite, nil, err
		}
		head, err := s.readHead()
		switch {
		case err != nil:
			return StageRead, head, err
		case !tunnelled(head):
			return StageDone, head, nil
		}
	}
	return s.ask(messages[last], len(messages[last]))
}

// ask sends what is left of a message, its last unsent bytes, and reads the answer to the whole.
func (s *stream) ask(m []byte, unsent int) (Stage, []byte, error) {
	if err := s.write(m[len(m)-unsent:]); err != nil {
		return StageWrite, nil, err
	}
	reply, err := s.read(framed(m))
	if err != nil {
		return StageRead, reply, err
	}
	return StageDone, reply, nil
}

func (s *stream) write(b []byte) error {
	for len(b) > 0 {
		n, err := unix.SendmsgN(s.fd, b, nil, nil, unix.MSG_NOSIGNAL)
		if err == nil {
			b = b[n:]
			continue
		}
		if err := s.again(err, unix.POLLOUT); err != nil {
			return err
		}
	}
	return nil
}

// settle is how long more is waited for of an answer that is not the canary's: who keeps a connection open after it has answered
// would take the whole budget.
const settle = 100 * time.Millisecond

// read reads until the answer is whole, the peer is done, or the budget is gone. An answer in DNS frames is whole by its length.
func (s *stream) read(frames bool) ([]byte, error) {
	buf := make([]byte, 0, echo.MaxReply)
	for len(buf) < cap(buf) {
		n, err := unix.Read(s.fd, buf[len(buf):cap(buf)])
		if err != nil {
			if err := s.again(err, unix.POLLIN); err != nil {
				if errors.Is(err, errBudget) && len(buf) > 0 {
					err = nil // the answer has settled
				}
				return buf, err
			}
			continue
		}
		if n == 0 {
			return buf, nil
		}
		buf = buf[:len(buf)+n]
		if whole(buf, frames) {
			return buf, nil
		}
		s.deadline = earlier(s.deadline, time.Now().Add(settle))
	}
	return buf, nil
}

func whole(b []byte, frames bool) bool {
	if frames {
		return len(b) >= 2 && len(b)-2 >= int(binary.BigEndian.Uint16(b))
	}
	_, err := echo.ParseResponse(b)
	return err == nil
}

// framed reports whether m is one message behind its length, as DNS over TCP has it (RFC 1035 §4.2.2).
func framed(m []byte) bool {
	return len(m) > 2 && int(binary.BigEndian.Uint16(m)) == len(m)-2
}

// readHead reads up to the empty line that ends a head, a byte at a time: what follows is the far end's.
func (s *stream) readHead() ([]byte, error) {
	var head []byte
	for one := make([]byte, 1); len(head) < echo.MaxReply; {
		n, err := unix.Read(s.fd, one)
		if err != nil {
			if err := s.again(err, unix.POLLIN); err != nil {
				return head, err
			}
			continue
		}
		if n == 0 {
			return head, nil
		}
		if head = append(head, one[0]); bytes.HasSuffix(head, []byte("\r\n\r\n")) {
			return head, nil
		}
	}
	return head, nil
}

// tunnelled reports whether head is a whole one of HTTP status 200.
func tunnelled(head []byte) bool {
	version, rest, _ := bytes.Cut(head, []byte(" "))
	return bytes.HasPrefix(version, []byte("HTTP/1.")) && len(rest) > 3 && bytes.HasPrefix(rest, []byte("200")) &&
		(rest[3] == ' ' || rest[3] == '\r') && bytes.HasSuffix(head, []byte("\r\n\r\n"))
}
