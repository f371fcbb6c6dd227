package agent

import (
	"time"

	"golang.org/x/sys/unix"
)

// exhaust holds Count flows to Also while it dials Addr. Half of the budget is for the flows to come about; one must. The kernel may
// have fewer descriptors for it, or the relay fewer flows: that the others fail is what was asked for.
func exhaust(s *stream, a Attempt, r *Result) error {
	r.Stage = StagePrepare
	held := holding{until: time.Now().Add(time.Until(s.deadline) / 2)}
	defer held.release()
	if err := held.hold(a); err != nil {
		return err
	}
	return plainly(s, a, r)
}

// holding is many flows at once.
type holding struct {
	flows []*stream
	until time.Time
}

func (h *holding) release() {
	for _, s := range h.flows {
		s.close()
	}
}

// hold begins Count connections and waits for each to be decided. It fails if none was made, as the last one did.
func (h *holding) hold(a Attempt) (last error) {
	family, sa := sockaddr(a.Also)
	for range max(1, a.Count) {
		s := &stream{deadline: h.until}
		if last = s.socket(family, unix.SOCK_STREAM, unix.IPPROTO_TCP); last != nil || time.Now().After(h.until) {
			s.close()
			break
		}
		h.flows = append(h.flows, s)
		_ = unix.Connect(s.fd, sa)
	}
	made := 0
	for _, s := range h.flows {
		if err := s.connected(); err != nil {
			last = err
			continue
		}
		made++
	}
	if made > 0 {
		return nil
	}
	return last
}
