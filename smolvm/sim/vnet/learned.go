//go:build linux

package vnet

import (
	"net/netip"
	"sync"
	"time"

	"github.com/miekg/dns"
	"golang.org/x/sys/unix"
)

// The bounds of what is learned: how long an address is allowed for, and how many
// are (libkrun dns_filter.rs clamps likewise).
const (
	minLearned = time.Minute
	maxLearned = time.Hour
	maxNames   = 1024
)

// learned are the addresses that answers for allowed names brought: allowed for a
// while, on every port. Whoever controls such a name can name any address; only
// the floor stands in the way (libkrun dns_filter.rs). Safe for concurrent use.
type learned struct {
	mu    sync.Mutex
	until map[netip.Addr]time.Time
}

func (l *learned) knows(a netip.Addr) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return time.Now().Before(l.until[a])
}

// add allows a for ttl. It reports whether a is new, and which have expired.
func (l *learned) add(a netip.Addr, ttl time.Duration) (fresh bool, expired []netip.Addr) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	for old, until := range l.until {
		if old != a && now.After(until) {
			expired = append(expired, old)
			delete(l.until, old)
		}
	}
	if l.until == nil {
		l.until = make(map[netip.Addr]time.Time)
	}
	if _, known := l.until[a]; !known && len(l.until) >= maxNames {
		return false, expired
	}
	_, known := l.until[a]
	l.until[a] = now.Add(min(max(ttl, minLearned), maxLearned))
	return !known, expired
}

// passes reports whether a flow to to is let through, by the policy or by a defect put in.
func (n *Network) passes(to netip.AddrPort) bool {
	return n.allows(to.Addr()) || n.cfg.opens(to.Port()) && !n.cfg.floored(to.Addr())
}

// allows reports whether the policy lets a flow to a through, or a name did.
func (n *Network) allows(a netip.Addr) bool {
	return n.cfg.allows(a) || n.learned.knows(a) && !n.cfg.floored(a)
}

// learn allows every address of an answer, under a policy by names. The names of
// the records are not looked at, as in libkrun.
func (n *Network) learn(message []byte) {
	if len(n.cfg.Hosts) == 0 || n.cfg.Backend == TSI && !n.cfg.InterceptDNS {
		return
	}
	answer := new(dns.Msg)
	if answer.Unpack(message) != nil {
		return
	}
	for _, rr := range answer.Answer {
		var a netip.Addr
		switch rr := rr.(type) {
		case *dns.A:
			a, _ = netip.AddrFromSlice(rr.A.To4())
		case *dns.AAAA:
			a, _ = netip.AddrFromSlice(rr.AAAA)
		}
		if !a.IsValid() {
			continue
		}
		fresh, expired := n.learned.add(a, time.Duration(rr.Header().Ttl)*time.Second)
		if n.served == nil {
			continue
		}
		if fresh && !n.cfg.floored(a) {
			n.tellKernel(a, n.served.route.addRule)
		}
		for _, old := range expired {
			n.tellKernel(old, n.served.route.deleteRule)
		}
	}
}

// tellKernel changes the rules by which a tsi guest's connect() knows a.
func (n *Network) tellKernel(a netip.Addr, change func(rule) error) {
	rules := []rule{{pref: prefLearned, to: hostPrefix(a), table: tableTUN}}
	if a.Is4() {
		rules = append(rules, rule{pref: prefUDPAllowed, from: hostPrefix(guestV4), to: hostPrefix(a), proto: unix.IPPROTO_UDP, table: tableTUN})
	}
	for _, r := range rules {
		if err := change(r); err != nil {
			n.denied.logf("%v", err)
		}
	}
}

// audits reports whether what the policy denies is logged and let through.
func (n *Network) audits() bool {
	return n.lapse.over(n.cfg.Lapse) || n.cfg.FloodOpen && n.flood.over() || n.cfg.AuditOnly || n.silent.Load() || time.Since(n.started) < n.cfg.OpenFor
}
