// Package control finds the positive control of a sandbox that nobody has given one: an address of this host that the sandbox reaches.
// Without one that it reaches, what it does not reach shows nothing.
package control

import (
	"context"
	"net"
	"net/netip"
	"slices"
	"time"

	"bottle.internal/probes"
)

// pathBudget bounds the dials that look for an allowed path.
const pathBudget = time.Second

// A Search is for an address that a sandbox reaches.
type Search struct {
	Site    probes.Site
	Options probes.Options
	// Addrs are where it is looked for. nil is wherever a sandbox may have been left, but for Passing.
	Addrs, Passing []netip.Addr
	// OneByOne asks for each address in a batch of its own: a shell believes its tools by a batch's first answer.
	OneByOne bool
	Logf     func(format string, args ...any)
}

// Find brings up a canary at each address and has the sandbox dial them. It returns the first that answered it, the zero Target if none
// did; end, which is never nil, closes the canaries. An error means that the sandbox could not be asked.
func (s Search) Find(ctx context.Context) (found probes.Target, end func(), err error) {
	var canaries []*probes.Canary
	end = func() {
		for _, c := range canaries {
			_ = c.Close()
		}
	}
	var targets []probes.Target
	for _, addr := range s.addrs() {
		c, err := probes.NewCanary("control "+addr.String(), netip.AddrPortFrom(addr, 0), s.Options.Listen)
		if err != nil {
			s.Logf("no control at %s: %v", addr, err)
			continue
		}
		canaries, targets = append(canaries, c), append(targets, c.Target())
	}
	s.Options.Budget = pathBudget
	all, err := s.paths(ctx, targets)
	switch {
	case err != nil:
		return probes.Target{}, end, err
	case len(all) == 0:
		s.Logf("the sandbox reaches no address of this host")
		return probes.Target{}, end, nil
	}
	s.Logf("positive control: %s answers the sandbox", all[0].Addr)
	return all[0], end, nil
}

// paths are those of targets that the sandbox reaches.
func (s Search) paths(ctx context.Context, targets []probes.Target) ([]probes.Target, error) {
	if !s.OneByOne {
		return probes.FindPath(ctx, s.Site, s.Options, targets)
	}
	for _, t := range targets {
		if found, err := probes.FindPath(ctx, s.Site, s.Options, []probes.Target{t}); err != nil || len(found) > 0 {
			return found, err
		}
	}
	return nil, nil
}

// addrs are those that were named, or all. Those of an interface to somewhere come first, since they stay; then what sandboxes of this kit
// put on the loopback's, which may go with them; the loopback itself last, since to reach that is the worst.
func (s Search) addrs() []netip.Addr {
	if s.Addrs != nil {
		return s.Addrs
	}
	interfaces, err := net.Interfaces()
	if err != nil {
		s.Logf("this host's interfaces: %v", err)
	}
	var all, onLoopback []netip.Addr
	for _, i := range interfaces {
		if i.Flags&net.FlagUp == 0 {
			continue
		}
		own, err := i.Addrs()
		if err != nil {
			s.Logf("the addresses of %s: %v", i.Name, err)
		}
		for _, a := range own {
			p, err := netip.ParsePrefix(a.String())
			switch {
			case err != nil || p.Addr().IsLoopback() || p.Addr().IsLinkLocalUnicast() || slices.Contains(s.Passing, p.Addr()):
			case i.Flags&net.FlagLoopback != 0:
				onLoopback = append(onLoopback, p.Addr())
			default:
				all = append(all, p.Addr())
			}
		}
	}
	return append(append(all, onLoopback...), netip.AddrFrom4([4]byte{127, 0, 0, 1}), netip.IPv6Loopback())
}
