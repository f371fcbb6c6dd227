package agent

import (
	"errors"
	"net/netip"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// serve listens at the attempt's address, and at Also if there is one, for streams and datagrams, until the budget is gone or the nonce
// in Send has come, and reports every nonce that came, with its peer. It dials itself with the attempt's own nonce until that has come:
// on tsi a listen is not honoured at once, and from then on it goes on for the attempt's Listen.
//
// What comes in is taken in beside it: on tsi an accept may not come back (libkrunfw#137), and what was written down until then counts.
func serve(a Attempt, r *Result, start time.Time) error {
	deadline := start.Add(a.Budget())
	g := newGuestbook(a)
	var rooms []*room
	for _, at := range a.served() {
		room, err := g.open(at, start, deadline)
		if err != nil {
			r.Stage = StageConnect
			closeRooms(rooms)
			return err
		}
		rooms = append(rooms, room)
	}
	go g.greet(a, deadline)
	g.await(a, deadline)
	closeRooms(rooms)
	r.Stage, r.Reply = StageDone, g.page()
	return nil
}

// await returns when the listener has listened for as long as it is to.
func (g *guestbook) await(a Attempt, deadline time.Time) {
	select {
	case <-g.ended:
		return
	case <-g.begun:
	case <-time.After(time.Until(deadline)):
	}
	select {
	case <-g.ended:
	case <-time.After(min(a.Listen(), time.Until(deadline))):
	}
}

// served are the addresses that a listener is at.
func (a Attempt) served() []netip.AddrPort {
	if a.Also.IsValid() {
		return []netip.AddrPort{a.Addr, a.Also}
	}
	return []netip.AddrPort{a.Addr}
}

// A room is one address that is served.
type room struct {
	listener           *stream
	streams, datagrams chan struct{} // closed when nobody is let in any more
}

// open lets visitors in at an address. Datagrams are bound first: who is let in over TCP may come over UDP next.
func (g *guestbook) open(at netip.AddrPort, start, deadline time.Time) (*room, error) {
	r := &room{listener: &stream{start: start, deadline: deadline}, streams: make(chan struct{}), datagrams: make(chan struct{})}
	d := r.listener.part(deadline)
	d.bind(at)
	if err := r.listener.listen(at); err != nil {
		d.close()
		r.listener.close()
		return nil, err
	}
	go func() { defer close(r.streams); g.receiveStreams(r.listener) }()
	go func() { defer close(r.datagrams); g.receiveDatagrams(d) }()
	return r, nil
}

func closeRooms(rooms []*room) {
	for _, r := range rooms {
		_ = unix.Shutdown(r.listener.fd, unix.SHUT_RDWR) // wakes a poll on Linux
	}
	for _, r := range rooms {
		select {
		case <-r.streams:
			r.listener.close() // not before nobody waits on it: its number would come round again
		case <-time.After(overrun / 4):
		}
	}
}

func (s *stream) listen(at netip.AddrPort) error {
	family, sa := sockaddr(at)
	if err := s.socket(family, unix.SOCK_STREAM, unix.IPPROTO_TCP); err != nil {
		return err
	}
	_ = unix.SetsockoptInt(s.fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1)
	if err := unix.Bind(s.fd, sa); err != nil {
		return err
	}
	return unix.Listen(s.fd, 64)
}

// receiveStreams takes in connections; at most MaxFlows are there at once.
func (g *guestbook) receiveStreams(l *stream) {
	places := make(chan struct{}, MaxFlows)
	for l.wait(unix.POLLIN) == nil {
		fd, peer, err := unix.Accept4(l.fd, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
		if err != nil {
			if !passing(err) {
				return
			}
			continue
		}
		places <- struct{}{}
		go func() {
			defer func() { <-places }()
			c := l.part(earlier(l.deadline, time.Now().Add(visitTime)))
			c.fd, c.open = fd, true
			g.visit(c, addrOf(peer))
		}()
	}
}

// passing reports whether an error of accept is over with the connection that it came from (accept(2)).
func passing(err error) bool {
	return slices.ContainsFunc([]error{unix.EAGAIN, unix.EINTR, unix.ECONNABORTED, unix.EPROTO, unix.ENETDOWN, unix.EHOSTUNREACH}, func(e error) bool {
		return errors.Is(err, e)
	})
}

// bind is for datagrams. Without them the streams are listened for all the same.
func (s *stream) bind(at netip.AddrPort) {
	family, sa := sockaddr(at)
	if s.socket(family, unix.SOCK_DGRAM, unix.IPPROTO_UDP) == nil && unix.Bind(s.fd, sa) != nil {
		s.close()
	}
}

// receiveDatagrams answers datagrams at the same address. Each nonce has one answer: two listeners would answer
// each other for ever.
func (g *guestbook) receiveDatagrams(s *stream) {
	defer s.close()
	buf := make([]byte, 512)
	for s.open && s.wait(unix.POLLIN) == nil {
		n, peer, err := unix.Recvfrom(s.fd, buf, 0)
		if err != nil {
			continue
		}
		if answer := g.sign(buf[:n], addrOf(peer), " udp"); answer != nil {
			_ = unix.Sendto(s.fd, answer, unix.MSG_NOSIGNAL|unix.MSG_DONTWAIT, peer)
		}
	}
}

// greet dials the listener until it has answered.
func (g *guestbook) greet(a Attempt, deadline time.Time) {
	for try := 0; !g.greeted() && time.Now().Before(deadline); try++ {
		at := dialable(a.Addr)
		own := Attempt{Network: TCP4, Addr: at[try%len(at)], Nonce: a.Nonce, BudgetMS: int(time.Until(deadline).Milliseconds()) + 1}
		if own.Addr.Addr().Is6() {
			own.Network = TCP6
		}
		dial(own, time.Now())
		time.Sleep(selfPause)
	}
}

// dialable is where a listener is dialled. One on all addresses of IPv6 takes IPv4 too, and there may be no other.
func dialable(at netip.AddrPort) []netip.AddrPort {
	four := netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), at.Port())
	switch {
	case !at.Addr().IsUnspecified():
		return []netip.AddrPort{at}
	case at.Addr().Is6():
		return []netip.AddrPort{netip.AddrPortFrom(netip.IPv6Loopback(), at.Port()), four}
	}
	return []netip.AddrPort{four}
}
