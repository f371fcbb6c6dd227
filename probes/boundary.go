package probes

import (
	"fmt"
	"net"
	"net/netip"
	"slices"

	"bottle.internal/probes/agent"
	"bottle.internal/probes/boundary"
)

// defaultSeed is what Options.Seed 0 stands for.
const defaultSeed = 1

const (
	boundaryWhat = "around every entry of the allowlist, as a model of the policy predicts them: the addresses before and behind it, the ends of its net, " +
		"single bits changed, the same low bits in the nets beside, other spellings, and some drawn by the report's seed."
	boundaryWhy     = "A mask that is a bit too short, compares the wrong end or has a hole opens addresses that nobody thinks of trying one by one."
	boundaryControl = "A canary of this run is bound to the address where it is this host's, and a world stands in for all others; both are alive before and " +
		"after; the allowed destination echoes a nonce before and after in the same batch; none sees a nonce of the probe. What leaks is tried again in " +
		"simpler forms, and the report names the simplest with a line that repeats it."
	boundaryRemedy = "Run the line that the report gives, and compare the entry that it names with the policy in effect."
	boundarySource = "cyclonus generator and policy model; smolvm b3a5f520 (a bare IPv6 address became a /32); libkrun 98163265 muxer.rs (no canonicalisation)"
	boundaryWhere  = "Where the site knows its allowlist as prefixes, at addresses of this host, and at all others where a world stands in for them."
)

// boundaryProbes compare the policy in force with a model of it.
var boundaryProbes = []Probe{
	boundaryProbe("tcp", High, Contain, "Dial addresses "+boundaryWhat, 64),
	boundaryProbe("udp", Medium, Contain, "Send datagrams to addresses "+boundaryWhat, 32),
	boundaryProbe("icmp", Medium, Contain, "Ping addresses "+boundaryWhat, 16),
	boundaryProbe("allowed", Medium, Reach, "Dial, and send datagrams to, what the model says is allowed: the ends of every entry, ports of the allowed destination, its mapped spelling.", 16),
}

// boundaryProbe tries at most so many of the cases, by the network that is the last part of its id, or by any.
func boundaryProbe(part string, s Severity, e Expect, what string, most int) Probe {
	p := Probe{
		ID: "policy.boundary." + part, Family: "policy.boundary", Severity: s, Expect: e,
		What: what, Why: boundaryWhy, Control: boundaryControl, Remedy: boundaryRemedy, Source: boundarySource, Where: boundaryWhere,
	}
	p.aims = func(r *rig) ([]aim, absence) {
		return r.boundaryAims(p.ID, e, most, func(c boundary.Case) bool { return e == Reach || string(c.Network) == part })
	}
	return p
}

// A spot is what tells one case of a run from another in a finding.
type spot struct {
	network agent.Network
	addr    netip.AddrPort
}

// boundaryAims aims at the first cases that f takes, that are predicted as expected, and that something of ours can stand behind.
func (r *rig) boundaryAims(id string, e Expect, most int, f func(boundary.Case) bool) ([]aim, absence) {
	if len(r.site.Allow) == 0 {
		return nil, absence{why: "the site does not say in prefixes what is allowed", unproven: true}
	}
	m := r.model()
	var aims []aim
	for _, c := range boundary.Generate(m, r.site.Allowed.Addr.Port(), r.opts.Seed) {
		if !f(c) || m.Predict(c.Flow) != predicted(e) || len(aims) == most {
			continue
		}
		if a, ok := r.place(c); ok {
			aims = append(aims, a)
		} else {
			r.unplaced[id]++
		}
	}
	if len(aims) == 0 {
		return nil, absence{why: "nothing of ours can stand at any address beside what is allowed"}
	}
	return aims, absence{}
}

func predicted(e Expect) boundary.Prediction {
	if e == Reach {
		return boundary.Allowed
	}
	return boundary.Denied
}

// model is the site's policy, and what is known of how its backend reads it.
func (r *rig) model() boundary.Model {
	m := boundary.Model{Allow: r.site.Allow, Unasked: r.site.Unasked, AnyPort: r.site.Backend == TSI || r.site.Backend == VirtioNet}
	if r.site.Backend == TSI {
		return m
	}
	m.MappedIsIPv4 = true // a Linux guest's own kernel sends it as IPv4
	m.Own = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.PrefixFrom(netip.IPv6Loopback(), 128)}
	m.AnswersDNS = r.site.Backend == VirtioNet
	for _, gate := range r.site.hostLoopback() {
		if !gate.IsLoopback() {
			m.Own = append(m.Own, netip.PrefixFrom(gate, gate.BitLen()-2).Masked()) // the link between guest and gateway
		}
	}
	return m
}

// place aims at c, and reports whether anything can be known there.
func (r *rig) place(c boundary.Case) (aim, bool) {
	a := aim{network: networkOf(c.Flow), addr: netip.AddrPortFrom(c.Addr, c.Port), wall: policyWall, expect: Contain}
	if r.model().Predict(c.Flow) == boundary.Allowed {
		a.expect = Reach
	}
	ip := c.Addr.Unmap()
	switch {
	case ip == r.site.Allowed.Addr.Addr() && c.Port == 0 && a.expect == Reach:
		if c.Network != boundary.TCP {
			return aim{}, false
		}
		a.post, a.addr = &post{Target: r.site.Allowed}, netip.AddrPortFrom(c.Addr, r.site.Allowed.Addr.Port())
	case ip.IsLoopback(), isHostAddr(ip):
		if !r.placeOnHost(&a, ip) {
			return aim{}, false
		}
	case r.world == nil, isAttached(ip):
		return aim{}, false
	default:
		a.post = r.world
		if c.Port == 0 {
			a.addr = netip.AddrPortFrom(c.Addr, worldPorts[c.Network])
		}
	}
	r.cases[spot{a.network, a.addr}] = c
	return a, true
}

// worldPorts are dialled where the port says nothing: another one by each network, or the denial of one in a log were taken for
// the other's.
var worldPorts = map[boundary.Network]uint16{boundary.TCP: 8080, boundary.UDP: 4433, boundary.ICMP: 1}

func networkOf(f boundary.Flow) agent.Network {
	version := "6"
	if f.Addr.Is4() {
		version = "4"
	}
	return agent.Network(string(f.Network) + version)
}

// The ends of 127/8 are no single host's.
var ends127 = []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, 0}), netip.AddrFrom4([4]byte{127, 255, 255, 255})}

// placeOnHost brings up a canary behind a, whose address is ip of this host, and reports whether it could. Pings of it are the
// host's own kernel's to answer.
func (r *rig) placeOnHost(a *aim, ip netip.Addr) bool {
	if a.class() == pings || slices.Contains(ends127, ip) || slices.Contains(r.site.Passing, ip) {
		return false
	}
	p, err := r.canaryFor(a.network, netip.AddrPortFrom(ip, a.addr.Port()))
	if err != nil {
		return false
	}
	a.post, a.addr = p, netip.AddrPortFrom(a.addr.Addr(), p.Addr.Port())
	return true
}

// isAttached reports whether ip is in a network that an interface of this host is in: no world stands in for what is there, and
// nothing of ours is.
func isAttached(ip netip.Addr) bool {
	all, err := net.InterfaceAddrs()
	if err != nil {
		return true
	}
	for _, a := range all {
		if p, err := netip.ParsePrefix(a.String()); err == nil && p.Contains(ip) {
			return true
		}
	}
	return false
}

// repeating is the line that repeats c from a shell, aimed as a.
func (r *rig) repeating(p Probe, a Attempt) string {
	if r.site.Again == nil {
		return ""
	}
	return fmt.Sprintf("%s # %s, seed %d", r.site.Again(a.Network, a.Address), p.ID, r.opts.Seed)
}
