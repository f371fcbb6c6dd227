package agent

import (
	"encoding/binary"
	"errors"
	"net/netip"

	"golang.org/x/sys/unix"
)

// What the routes of an attempt are kept apart by: a table that nobody has, and a rule before all others that leads to it. So no
// rule or route of the guest's is lost, whatever becomes of the agent, and none of them is asked.
const (
	routeTable    = 7077
	routePriority = 1
)

// A detour is one way of leading packets for an address elsewhere.
type detour struct {
	to    netip.Addr
	by    netip.Addr // the gateway; invalid is none: to is taken for a neighbour
	index int
}

// byRoute dials Addr after the guest's routes were changed to lead there: over each interface, by way of Also and as to a neighbour,
// each in its share of the budget, until one has an answer. The result is that of the detour that led furthest.
func byRoute(s *stream, a Attempt, r *Result) error {
	r.Stage = StagePrepare
	ways, err := detours(a)
	if err != nil {
		return err
	}
	return byTurns(s, ways, r, func(d detour, one *stream, try *Result) error { return d.dial(one, a, try) })
}

// byTurns tries ways one after the other, each in its share of the budget, until one has an answer. The result is that of the way that
// led furthest, and of the last among those.
func byTurns[Way any](s *stream, ways []Way, r *Result, dial func(Way, *stream, *Result) error) (err error) {
	best := *r
	for i, w := range ways {
		one, try := s.part(share(s.deadline, len(ways)-i)), *r
		e := dial(w, one, &try)
		one.close()
		if try.Stage.reach() >= best.Stage.reach() {
			best, err = try, e
		}
		if len(try.Reply) > 0 {
			break
		}
	}
	*r = best
	return err
}

// reach orders the stages by how far they are.
func (s Stage) reach() int {
	for i, at := range []Stage{StagePrepare, StageSocket, StageConnect, StageWrite, StageRead, StageDone} {
		if s == at {
			return i
		}
	}
	return -1
}

func detours(a Attempt) ([]detour, error) {
	all, err := links()
	if err != nil {
		return nil, err
	}
	var ways []detour
	for _, l := range all {
		if l.loopback && len(all) > 1 {
			continue
		}
		ways = append(ways, detour{a.Addr.Addr(), a.Also.Addr(), l.index}, detour{a.Addr.Addr(), netip.Addr{}, l.index})
	}
	if len(ways) == 0 {
		return nil, unix.ENODEV
	}
	return ways, nil
}

// dial dials with the detour in place. A kernel without policy routing has one table, which is also asked last.
func (d detour) dial(s *stream, a Attempt, r *Result) error {
	table := uint32(routeTable)
	if err := d.rule(unix.RTM_NEWRULE, unix.NLM_F_CREATE|unix.NLM_F_EXCL); errors.Is(err, unix.EOPNOTSUPP) {
		table = unix.RT_TABLE_MAIN
	} else if err != nil {
		return err
	} else {
		defer func() { _ = d.rule(unix.RTM_DELRULE, 0) }()
	}
	if err := d.route(unix.RTM_NEWROUTE, unix.NLM_F_CREATE|unix.NLM_F_EXCL, table); err != nil {
		return err
	}
	defer func() { _ = d.route(unix.RTM_DELROUTE, 0, table) }()
	return plainly(s, a, r)
}

func (d detour) route(kind, flags int, table uint32) error {
	scope, nexthop := byte(unix.RT_SCOPE_LINK), uint32(0)
	attrs := [][]byte{attr(unix.RTA_DST, d.to.AsSlice()), attr32(unix.RTA_OIF, uint32(d.index)), attr32(unix.RTA_TABLE, table)}
	if d.by.IsValid() {
		scope, nexthop = unix.RT_SCOPE_UNIVERSE, unix.RTNH_F_ONLINK
		attrs = append(attrs, attr(unix.RTA_GATEWAY, d.by.AsSlice()))
	}
	head := []byte{unix.AF_INET, 32, 0, 0, unix.RT_TABLE_UNSPEC, unix.RTPROT_BOOT, scope, unix.RTN_UNICAST}
	return rtnetlink(kind, flags, binary.NativeEndian.AppendUint32(head, nexthop), attrs...)
}

// rule leads packets for the address to the table (struct fib_rule_hdr; 1 is FR_ACT_TO_TBL).
func (d detour) rule(kind, flags int) error {
	head := []byte{unix.AF_INET, 32, 0, 0, unix.RT_TABLE_UNSPEC, 0, 0, 1, 0, 0, 0, 0}
	return rtnetlink(kind, flags, head, attr(unix.FRA_DST, d.to.AsSlice()), attr32(unix.FRA_TABLE, routeTable), attr32(unix.FRA_PRIORITY, routePriority))
}

func putIndex(b []byte, index int) { binary.NativeEndian.PutUint32(b, uint32(index)) }
