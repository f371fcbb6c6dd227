package agent

import (
	"errors"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// errBudget says that the budget ran out. It has no errno: nothing in the kernel failed.
var errBudget = errors.New("agent: out of time")

// A maker makes an attempt whose clock began at start: it fills in how far that got and what was read, and returns what stopped it.
type maker func(a Attempt, r *Result, start time.Time) error

// makers make the attempts of each network.
var makers map[Network]maker

func init() { // no initializer: a listener that serves dials itself
	makers = map[Network]maker{
		TCP4: dialTCP, TCP6: dialTCP, Unix: dialUnix, VSOCK: dialVSOCK,
		UDP4: sendDatagram, UDP6: sendDatagram, ICMP4: ping, ICMP6: ping,
		Serve: serve, Look: look,
	}
}

// dial makes one attempt, whose clock began at start, on a socket of its own. The stage is at socket until the maker says more.
func dial(a Attempt, start time.Time) Result {
	r := Result{ID: a.ID, Nonce: a.Nonce, Stage: StageSocket}
	make := makers[a.Network]
	if a.Method == OwnNetNS {
		make = dialApart
	}
	if err := make(a, &r, start); err != nil {
		r.Errno = errnoOf(err)
	}
	r.ElapsedUS = time.Since(start).Microseconds()
	if len(r.Reply) > MaxReply {
		r.Reply = r.Reply[:MaxReply]
	}
	r.Observation = Observe(a, r)
	return r
}

// errnoOf is the kernel's name for err, "" for none and for a budget that ran out.
func errnoOf(err error) string {
	if errors.Is(err, errUnresolved) {
		return noName
	}
	var errno unix.Errno
	if !errors.As(err, &errno) {
		return ""
	}
	if name := unix.ErrnoName(errno); name != "" {
		return name
	}
	return "E" + strconv.Itoa(int(errno))
}

// dialUnix dials a stream socket by its path or abstract name.
func dialUnix(a Attempt, r *Result, start time.Time) (err error) {
	s := stream{start: start, deadline: start.Add(a.Budget())}
	defer s.close()
	r.Stage, err = s.connectUnix(a.Path)
	r.ConnectUS = time.Since(start).Microseconds()
	if err != nil {
		return err
	}
	r.Stage, r.Reply, err = s.converse(a.Messages())
	return err
}
