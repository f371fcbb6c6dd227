//go:build linux

package vnet

import (
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// pollBusy is how often the guest's listeners are looked for under a policy
	// while anything happens in the guest, and for busyFor after that.
	pollBusy = 5 * time.Millisecond
	busyFor  = 2 * time.Second
	// pollIdle is how often otherwise: a timer of 5 ms costs 1-2 % of a processor.
	pollIdle = 20 * time.Millisecond
	// pollOpen is how often without a policy, where a connect to a listener that
	// was not noticed comes to claim.
	pollOpen = 50 * time.Millisecond
	// pollUDP is how often UDP sockets are looked at.
	pollUDP = 50 * time.Millisecond
	// pollLingering bounds the wait between looks at a port whose listener has
	// gone but whose connections may live on.
	pollLingering = 250 * time.Millisecond
	// maxServed bounds the rules one guest can cause.
	maxServed = 1024
)

// A servedPort is a port of loopback that the guest answers on itself.
type servedPort struct {
	proto    uint8
	loopback netip.Prefix
	port     uint16
}

// rules lead to the port and, for TCP, back from it. The answer to a datagram
// goes to a port that is the guest's as well and served for that reason. They
// are for received packets too: the kernel looks at no port of a packet that
// comes in unless a rule not bound to lo asks for it, and what is turned back to
// the guest comes in (fib_rule_requires_fldissect).
func (p servedPort) rules() []rule {
	r := rule{pref: prefServed, to: p.loopback, proto: p.proto, dport: onePort(p.port), table: unix.RT_TABLE_LOCAL, received: true}
	if p.proto == unix.IPPROTO_UDP {
		return []rule{r}
	}
	back := rule{pref: prefServing, to: p.loopback, proto: p.proto, sport: onePort(p.port), table: unix.RT_TABLE_LOCAL, received: true}
	return []rule{r, back}
}

// served keeps the rules by which a guest's own listeners come before the host's
// loopback, as in TSI's connect(): inet first, host second (libkrunfw af_tsi.c).
// Safe for concurrent use.
type served struct {
	route, diag *netlinkConn
	restrict    bool
	published   *published // listeners that are the host's
	logf        func(string, ...any)
	signs       atomic.Int64 // of life in the guest, counted

	mu    sync.Mutex
	ports map[servedPort]*lingering
	full  bool
}

// lingering is what is known of a served port whose listener has gone; zero
// while it is there.
type lingering struct {
	next time.Time
	wait time.Duration
}

func newServed(route, diag *netlinkConn, restrict bool, logf func(string, ...any)) *served {
	return &served{route: route, diag: diag, restrict: restrict, logf: logf, ports: make(map[servedPort]*lingering)}
}

// sign tells that something happens in the guest.
func (s *served) sign() { s.signs.Add(1) }

// watch keeps the rules up to date until stop is closed.
func (s *served) watch(stop <-chan struct{}) {
	var (
		timer     = time.NewTimer(0)
		datagrams time.Time
		busy      = time.Now()
		signs     int64
	)
	defer timer.Stop()
	for {
		select {
		case <-stop:
			return
		case <-timer.C:
		}
		now := time.Now()
		err := s.updateTCP(now)
		if err == nil && now.Sub(datagrams) >= pollUDP {
			datagrams, err = now, s.updateUDP()
		}
		if err != nil {
			s.logf("the guest's listeners cannot be followed any more: %v", err)
			return
		}
		if seen := s.signs.Load(); seen != signs {
			signs, busy = seen, now
		}
		timer.Reset(s.pause(now.Sub(busy)))
	}
}

// pause is how long to wait before the next look.
func (s *served) pause(quiet time.Duration) time.Duration {
	switch {
	case quiet < busyFor && (s.restrict || !s.published.none()):
		return pollBusy
	case s.restrict:
		return pollIdle
	default:
		return pollOpen
	}
}

// claim reports whether the guest itself answers on a loopback address, and if
// so makes sure that further packets stay inside.
func (s *served) claim(proto uint8, to netip.AddrPort) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	states := uint32(stateListening)
	if proto == unix.IPPROTO_UDP {
		states = stateAny
	}
	all, err := s.list(proto, states)
	if err != nil {
		return false
	}
	ours := servedPort{proto, loopbackOf(to.Addr()), to.Port()}
	for _, g := range all {
		if g.local.Port() == to.Port() && slices.Contains(g.serves(), ours.loopback) && reaches(to.Addr(), g.local.Addr()) {
			return s.add(ours)
		}
	}
	return false
}

// list are the guest's sockets of one protocol, without the listeners that the
// host has taken over: a connect to one of those is the host's to answer, as in TSI.
func (s *served) list(proto uint8, states uint32) ([]guestSocket, error) {
	var all []guestSocket
	err := s.diag.sockets(proto, states, func(g guestSocket) { all = append(all, g) })
	if err != nil || proto != unix.IPPROTO_TCP {
		return all, err
	}
	return s.published.follow(all), nil
}

// reaches reports whether a socket bound to bound takes what is sent to to.
func reaches(to, bound netip.Addr) bool {
	bound = bound.Unmap()
	return bound.IsUnspecified() || bound == to
}

// updateTCP looks at the listening sockets once.
func (s *served) updateTCP(now time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	all, err := s.list(unix.IPPROTO_TCP, stateListening)
	if err != nil {
		return err
	}
	listening := make(map[servedPort]bool)
	for _, g := range all {
		for _, family := range g.serves() {
			listening[servedPort{unix.IPPROTO_TCP, family, g.local.Port()}] = true
		}
	}
	for p := range listening {
		if l, known := s.ports[p]; known {
			*l = lingering{}
			continue
		}
		s.add(p)
	}
	return s.dropIdle(now, listening)
}

// dropIdle removes the rules of ports that have neither a listener nor a
// connection left: a server that accepts once and closes its listener goes on
// talking on that port.
func (s *served) dropIdle(now time.Time, listening map[servedPort]bool) error {
	var due []servedPort
	for p, l := range s.ports {
		if p.proto == unix.IPPROTO_TCP && !listening[p] && !now.Before(l.next) {
			due = append(due, p)
		}
	}
	if len(due) == 0 {
		return nil
	}
	busy := make(map[uint16]bool)
	err := s.diag.sockets(unix.IPPROTO_TCP, stateAny&^(stateListening|stateTimeWait), func(g guestSocket) {
		busy[g.local.Port()] = true
	})
	if err != nil {
		return err
	}
	for _, p := range due {
		if !busy[p.port] {
			s.remove(p)
			continue
		}
		l := s.ports[p]
		l.wait = min(max(2*l.wait, pollBusy), pollLingering)
		l.next = now.Add(l.wait)
	}
	return nil
}

// updateUDP looks at the UDP sockets once. Only those on [::] and ::1 are looked
// for: what another is sent comes to claim in time, but a connected client of one
// of these would keep an address that such a server does not answer from.
func (s *served) updateUDP() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	bound := make(map[uint16]bool)
	err := s.diag.sockets(unix.IPPROTO_UDP, stateAny, func(g guestSocket) {
		bound[g.local.Port()] = true
		if to := (servedPort{unix.IPPROTO_UDP, loopbackV6, g.local.Port()}); g.remote.Port() == 0 && slices.Contains(g.serves(), loopbackV6) {
			s.add(to)
		}
	})
	if err != nil {
		return err
	}
	for p := range s.ports {
		if p.proto == unix.IPPROTO_UDP && !bound[p.port] {
			s.remove(p)
		}
	}
	return nil
}

// add puts p's rules in place and reports whether it is served.
func (s *served) add(p servedPort) bool {
	if _, known := s.ports[p]; known {
		return true
	}
	if len(s.ports) >= maxServed {
		if !s.full {
			s.logf("the guest listens on more than %d ports: the others are the host's", maxServed)
		}
		s.full = true
		return false
	}
	for _, r := range p.rules() {
		if err := s.route.addRule(r); err != nil {
			s.logf("%v", err)
			return false
		}
	}
	s.ports[p] = &lingering{}
	s.sign()
	return true
}

func (s *served) remove(p servedPort) {
	for _, r := range p.rules() {
		if err := s.route.deleteRule(r); err != nil {
			s.logf("%v", err)
		}
	}
	delete(s.ports, p)
}
