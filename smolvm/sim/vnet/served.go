//go:build linux

package vnet

import (
	"net/netip"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// servedPoll is how often the guest's listening sockets are looked for.
	servedPoll = 5 * time.Millisecond
	// lingerPoll bounds the wait between looks at a port whose listener has gone
	// but whose connections may live on.
	lingerPoll = 250 * time.Millisecond
	// datagramPoll is how often served UDP ports are looked at again.
	datagramPoll = time.Second
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
// goes to a port that is the guest's as well and served for that reason.
func (p servedPort) rules() []rule {
	r := rule{pref: prefServed, to: p.loopback, proto: p.proto, dport: onePort(p.port), table: unix.RT_TABLE_LOCAL}
	if p.proto == unix.IPPROTO_UDP {
		return []rule{r}
	}
	back := rule{pref: prefServing, to: p.loopback, proto: p.proto, sport: onePort(p.port), table: unix.RT_TABLE_LOCAL}
	return []rule{r, back}
}

// served keeps the rules by which a guest's own listeners come before the host's
// loopback, as in TSI's connect(): inet first, host second (libkrunfw af_tsi.c).
// Safe for concurrent use.
type served struct {
	route, diag *netlinkConn
	logf        func(string, ...any)

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

func newServed(route, diag *netlinkConn, logf func(string, ...any)) *served {
	return &served{route: route, diag: diag, logf: logf, ports: make(map[servedPort]*lingering)}
}

// watch keeps the rules up to date until stop is closed.
func (s *served) watch(stop <-chan struct{}) {
	tick := time.NewTicker(servedPoll)
	defer tick.Stop()
	datagrams := time.Now()
	for {
		select {
		case <-stop:
			return
		case now := <-tick.C:
			err := s.updateTCP(now)
			if err == nil && now.Sub(datagrams) >= datagramPoll {
				datagrams, err = now, s.updateUDP()
			}
			if err != nil {
				s.logf("the guest's listeners cannot be followed any more: %v", err)
				return
			}
		}
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
	ours := servedPort{proto, loopbackOf(to.Addr()), to.Port()}
	found := false
	err := s.diag.sockets(proto, states, func(g guestSocket) {
		for _, family := range g.serves() {
			found = found || ours == servedPort{proto, family, g.local.Port()} && reaches(to.Addr(), g.local.Addr())
		}
	})
	if err != nil || !found {
		return false
	}
	return s.add(ours)
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
	listening := make(map[servedPort]bool)
	err := s.diag.sockets(unix.IPPROTO_TCP, stateListening, func(g guestSocket) {
		for _, family := range g.serves() {
			listening[servedPort{unix.IPPROTO_TCP, family, g.local.Port()}] = true
		}
	})
	if err != nil {
		return err
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
		l.wait = min(max(2*l.wait, servedPoll), lingerPoll)
		l.next = now.Add(l.wait)
	}
	return nil
}

// updateUDP removes the rules of ports no socket is bound to any more.
func (s *served) updateUDP() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var known []servedPort
	for p := range s.ports {
		if p.proto == unix.IPPROTO_UDP {
			known = append(known, p)
		}
	}
	if len(known) == 0 {
		return nil
	}
	bound := make(map[uint16]bool)
	err := s.diag.sockets(unix.IPPROTO_UDP, stateAny, func(g guestSocket) { bound[g.local.Port()] = true })
	if err != nil {
		return err
	}
	for _, p := range known {
		if !bound[p.port] {
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
