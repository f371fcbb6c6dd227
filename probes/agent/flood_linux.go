package agent

import (
	"errors"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// floodWidth is how many flows of a flood are under way at once.
	floodWidth = 64
	// floodWait is what they may take to be decided: where a wall is silent, the next ones come anyway.
	floodWait = 20 * time.Millisecond
	// floodShare is the part of Count that a flood has to come to. What is slower is none, and says nothing of a wall under load.
	floodShare = 4
)

// flood dials Addr Count times as fast as that goes, for half of the budget at the most, and then once in the plain way, whose result
// it has. It does so once before as well: what is open needs no flood. Every flow that comes about is sent the nonce, so that the canary
// knows of each; the first that is answered ends it.
func flood(s *stream, a Attempt, r *Result) (last error) {
	one := s.part(s.start.Add(a.Budget() / 8))
	last = plainly(one, a, r)
	one.close()
	if Observe(a, *r) == Reachable {
		return last
	}
	until := s.start.Add(a.Budget() / 2)
	blank, dialled := Result{ID: r.ID, Nonce: r.Nonce, Stage: StagePrepare}, 0
	*r = blank
	for dialled < a.Count && time.Now().Before(until) {
		w := wave{stream: s, width: min(floodWidth, a.Count-dialled)}
		last = w.dial(a)
		w.talk(a, r)
		w.close()
		if Observe(a, *r) == Reachable {
			return nil
		}
		*r = blank
		if dialled += w.dialled; w.dialled == 0 {
			break // the kernel has no more sockets for it
		}
	}
	if dialled < a.Count/floodShare {
		return last
	}
	return plainly(s, a, r)
}

// A wave is those flows of a flood that are under way together.
type wave struct {
	*stream
	width   int
	dialled int
	flows   []*stream // each has a socket, and a connect that did not fail at once
}

// dial begins the wave. The error is what kept the kernel from beginning the last of its flows.
func (w *wave) dial(a Attempt) (last error) {
	family, sa := sockaddr(a.Addr)
	deadline := earlier(time.Now().Add(floodWait), w.deadline)
	for range w.width {
		one := w.part(deadline)
		if err := one.socket(family, unix.SOCK_STREAM, unix.IPPROTO_TCP); err != nil {
			return err
		}
		err := unix.Connect(one.fd, sa)
		switch {
		case err == nil || errors.Is(err, unix.EINPROGRESS):
			w.flows = append(w.flows, one)
			w.dialled++
			continue
		case errors.Is(err, unix.EADDRNOTAVAIL), errors.Is(err, unix.EAGAIN): // no port is left to dial from
			last = err
		default:
			w.dialled++
		}
		one.close()
	}
	return last
}

// talk sends the nonce on all that came about, and has it answered on one of them.
func (w *wave) talk(a Attempt, r *Result) {
	var first *stream
	for _, one := range w.flows {
		switch {
		case !one.cameAbout():
		case first == nil:
			first = one
		default:
			_ = one.write(a.Messages()[0])
		}
	}
	if first != nil {
		_ = r.win(first, a)
	}
}

// cameAbout waits until a connect under way is decided, and looks once where there is no time left: a slow guest has flows too.
func (s *stream) cameAbout() bool {
	left := max(time.Until(s.deadline), 0)
	fds := []unix.PollFd{{Fd: int32(s.fd), Events: unix.POLLOUT}}
	if n, err := unix.Poll(fds, int(left.Milliseconds())); n == 0 || err != nil {
		return false
	}
	code, err := unix.GetsockoptInt(s.fd, unix.SOL_SOCKET, unix.SO_ERROR)
	return err == nil && code == 0
}

func (w *wave) close() {
	for _, one := range w.flows {
		one.close()
	}
}
