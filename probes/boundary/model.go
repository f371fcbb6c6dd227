package boundary

import (
	"net/netip"
	"slices"
)

// A Network is what a flow is made with.
type Network string

// The networks.
const (
	TCP  Network = "tcp"
	UDP  Network = "udp"
	ICMP Network = "icmp" // a ping; its port means nothing
)

// A Prediction is what a policy says of a flow. The zero Prediction is none.
type Prediction string

// The predictions.
const (
	Allowed     Prediction = "allowed"
	Denied      Prediction = "denied"
	Unspecified Prediction = "unspecified" // something else than the policy decides, or nobody knows what does
)

// A Flow is what a guest tries.
type Flow struct {
	Network Network
	Addr    netip.Addr // as the guest spells it: an IPv4 address may stand in an IPv6 one
	Port    uint16     // 0 is one that means nothing to the policy
}

// A Model is a policy as it was asked for, and what is known of how its engine reads it. The zero Model denies everything that it
// specifies.
type Model struct {
	// Allow is all that was asked for.
	Allow []netip.Prefix
	// Unasked is let through, or may be, although nobody asked: the model predicts nothing there, and the generator looks around it.
	Unasked []netip.Prefix
	// Own never leaves the guest, or is answered by the sandbox itself: its loopback, and the link to its gateway.
	Own []netip.Prefix
	// MappedIsIPv4 says that an IPv4-mapped address leaves the guest as the IPv4 address in it. On tsi the policy compares the
	// mapped address as it stands (libkrun 98163265 muxer.rs): it denies what is allowed in that spelling, or a guest's kernel has
	// made IPv4 of it before, and no more is reached than is allowed anyway.
	MappedIsIPv4 bool
	// AnyPort says that the policy goes by address alone (smolvm#744). Without it nothing is known of the ports of what is allowed.
	AnyPort bool
	// AnswersDNS says that the sandbox answers a datagram to port 53 of any address by itself (smolvm v1.9.3 stack.rs).
	AnswersDNS bool
}

// particular are addresses that a guest's own kernel treats in a way of its own, whatever the policy.
var particular = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"), netip.MustParsePrefix("224.0.0.0/3"),
	netip.MustParsePrefix("::/128"), netip.MustParsePrefix("fe80::/10"), netip.MustParsePrefix("ff00::/8"),
}

const dnsPort = 53

// Predict is what the policy says of f.
func (m Model) Predict(f Flow) Prediction {
	at := f.Addr
	if at.Is4In6() && (m.MappedIsIPv4 || f.Network == ICMP) {
		at = at.Unmap()
	}
	switch {
	case !at.IsValid(), at.Zone() != "", within(particular, at.Unmap()), within(m.Own, at.Unmap()), within(m.Unasked, at.Unmap()):
		return Unspecified
	case f.Network == UDP && f.Port == dnsPort && m.AnswersDNS:
		return Unspecified
	case !within(m.Allow, at) && within(m.Allow, at.Unmap()):
		return Unspecified
	case !within(m.Allow, at):
		return Denied
	case f.Network == ICMP, f.Port == dnsPort, f.Port != 0 && !m.AnyPort:
		return Unspecified // who may be asked for a name, and who answers, is more than a matter of the address
	}
	return Allowed
}

func within(all []netip.Prefix, at netip.Addr) bool {
	return slices.ContainsFunc(all, func(p netip.Prefix) bool { return p.Contains(at) })
}
