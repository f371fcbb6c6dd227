package agent

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// dialVSOCK dials one port of a context, or every one of a range.
func dialVSOCK(a Attempt, r *Result, start time.Time) (err error) {
	s := stream{start: start, deadline: start.Add(a.Budget())}
	defer s.close()
	if a.Method == Sweep {
		return sweep(a, r, &s, func(port uint32) (int, unix.Sockaddr) { return unix.AF_VSOCK, &unix.SockaddrVM{CID: a.CID, Port: port} })
	}
	r.Stage, err = s.connect(unix.AF_VSOCK, 0, &unix.SockaddrVM{CID: a.CID, Port: a.VPort})
	if r.decided(&s, err) != nil {
		return err
	}
	r.Stage, r.Reply, err = s.converse(a.Messages())
	return err
}

// sweepFlows bounds the ports of a sweep that are dialled at once.
const sweepFlows = 64

// A sweeper dials many ports from one thread.
type sweeper struct {
	part func() *stream // a fresh one
	at   func(port uint32) (int, unix.Sockaddr)

	ports    []uint32
	flights  []*stream
	open     []uint32
	outcomes map[string]int // by errno
	last     map[string]error
}

// sweep reports the ports from VPort to VPortTo that take a connection, one a line. If none did the errno is what most said; if there
// was no time to dial them all, the attempt is unfinished.
func sweep(a Attempt, r *Result, s *stream, at func(port uint32) (int, unix.Sockaddr)) error {
	w := sweeper{part: func() *stream { return s.part(s.deadline) }, at: at, outcomes: make(map[string]int), last: make(map[string]error)}
	next, end := uint64(a.VPort), uint64(max(a.VPort, a.VPortTo))
	for (next <= end || len(w.flights) > 0) && time.Now().Before(s.deadline) {
		for ; next <= end && len(w.flights) < sweepFlows; next++ {
			w.dial(uint32(next))
		}
		w.land(s.deadline)
	}
	for i, port := range w.ports {
		w.decided(port, w.flights[i], errBudget)
	}
	slices.Sort(w.open)
	for _, port := range w.open {
		r.Reply = fmt.Appendln(r.Reply, port)
	}
	switch r.Stage = StageConnect; {
	case next > end && len(r.Reply) > 0:
		r.Stage = StageDone
	case next <= end && len(r.Reply) == 0:
		r.Stage = StageUnfinished
		return nil
	}
	if len(r.Reply) > 0 {
		return nil
	}
	return w.most()
}

func (w *sweeper) dial(port uint32) {
	s := w.part()
	family, sa := w.at(port)
	err := s.socket(family, unix.SOCK_STREAM, 0)
	if err == nil {
		err = unix.Connect(s.fd, sa)
	}
	if errors.Is(err, unix.EINPROGRESS) {
		w.ports, w.flights = append(w.ports, port), append(w.flights, s)
		return
	}
	w.decided(port, s, err)
}

func (w *sweeper) decided(port uint32, s *stream, err error) {
	s.close()
	if err == nil {
		w.open = append(w.open, port)
		return
	}
	name := errnoOf(err)
	w.outcomes[name]++
	w.last[name] = err
}

// land waits until some of the connections under way are decided.
func (w *sweeper) land(deadline time.Time) {
	if len(w.flights) == 0 {
		return
	}
	fds := make([]unix.PollFd, len(w.flights))
	for i, s := range w.flights {
		fds[i] = unix.PollFd{Fd: int32(s.fd), Events: unix.POLLOUT}
	}
	if n, err := unix.Poll(fds, int(time.Until(deadline).Milliseconds())+1); n <= 0 || err != nil {
		return
	}
	ports, flights := w.ports, w.flights
	w.ports, w.flights = nil, nil
	for i, s := range flights {
		if fds[i].Revents == 0 {
			w.ports, w.flights = append(w.ports, ports[i]), append(w.flights, s)
			continue
		}
		w.decided(ports[i], s, s.connected())
	}
}

// most is what most ports said.
func (w *sweeper) most() error {
	best := ""
	for name, n := range w.outcomes {
		if n > w.outcomes[best] || n == w.outcomes[best] && name < best {
			best = name
		}
	}
	return w.last[best]
}
