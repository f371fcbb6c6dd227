//go:build linux

package vnet

import (
	"context"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// HostName is the name of the gateway's address (smolvm v1.8.3, #963).
const HostName = "host.smolvm.internal"

// nameTTL is the time to live of an answer made here, in seconds.
const nameTTL = 60

// takesName reports whether a datagram is a question for the host's nameserver and
// no matter of the policy's: on virtio-net any to port 53 (smolvm v1.9.3
// stack.rs), on tsi with a host filter any too (libkrun muxer.rs, smolvm v1.0.0),
// and before that the ones to the guest's own proxy on 127.0.0.1:53.
func (c Config) takesName(dst netip.AddrPort) bool {
	switch {
	case dst.Port() != dnsPort:
		return false
	case c.Backend == VirtioNet:
		return true
	case len(c.Hosts) == 0:
		return false
	}
	return c.InterceptDNS || dst.Addr() == hostResolver.Addr()
}

// takesNameTCP is takesName of a connection: to the gateway alone.
func (c Config) takesNameTCP(dst netip.AddrPort) bool {
	return dst.Port() == dnsPort && c.Backend == VirtioNet && (dst.Addr() == gatewayV4 || dst.Addr() == gatewayV6)
}

// resolves reports whether the host filter lets a name through. Without a filter
// every name is let through, which keeps a tunnel open next to any policy, as in
// smolvm. What is below an allowed name is allowed.
func (c Config) resolves(name string) bool {
	if len(c.Hosts) == 0 || c.OpenResolver {
		return true
	}
	name = strings.ToLower(strings.TrimSuffix(name, "."))
	return slices.ContainsFunc(c.Hosts, func(h string) bool {
		h = strings.ToLower(strings.TrimSuffix(h, "."))
		return name == h || strings.HasSuffix(name, "."+h)
	})
}

// answerName answers one DNS message, nil for what is none.
func (n *Network) answerName(f flow, message []byte) []byte {
	question := new(dns.Msg)
	if question.Unpack(message) != nil || question.Response || len(question.Question) != 1 {
		return nil
	}
	q := question.Question[0]
	if own, ok := n.ownName(q); ok {
		return packed(question, dns.RcodeSuccess, own)
	}
	if !n.cfg.resolves(q.Name) {
		n.denied.name(q.Name)
		return packed(question, dns.RcodeNameError, nil)
	}
	answer, err := n.dialer.ask(n.ctx, f, message)
	if err != nil {
		return packed(question, dns.RcodeServerFailure, nil)
	}
	n.learn(answer)
	return answer
}

func packed(question *dns.Msg, code int, answer []dns.RR) []byte {
	m := new(dns.Msg).SetRcode(question, code)
	m.Answer, m.RecursionAvailable = answer, true
	b, err := m.Pack()
	if err != nil {
		return nil
	}
	return b
}

// ownName answers for names that are this host's to know.
func (n *Network) ownName(q dns.Question) (answer []dns.RR, ok bool) {
	four, six := netip.AddrFrom4([4]byte{127, 0, 0, 1}), netip.IPv6Loopback()
	switch {
	case isLocalhost(q.Name):
	case n.cfg.NameHost && strings.EqualFold(strings.TrimSuffix(q.Name, "."), HostName):
		four, six = gatewayV4, gatewayV6
	default:
		return nil, false
	}
	head := dns.RR_Header{Name: q.Name, Rrtype: q.Qtype, Class: dns.ClassINET, Ttl: nameTTL}
	switch q.Qtype {
	case dns.TypeA:
		return []dns.RR{&dns.A{Hdr: head, A: four.AsSlice()}}, true
	case dns.TypeAAAA:
		return []dns.RR{&dns.AAAA{Hdr: head, AAAA: six.AsSlice()}}, true
	}
	return nil, true
}

// ask hands a DNS message to the world, or to the host's resolver if that is open.
func (d *dialer) ask(ctx context.Context, f flow, message []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, lookupTimeout)
	defer cancel()
	conn, err := d.dialNames(ctx, f)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	if _, err := conn.Write(message); err != nil {
		return nil, err
	}
	buf := make([]byte, dns.MaxMsgSize)
	size, err := conn.Read(buf)
	return buf[:size], err
}

func (d *dialer) dialNames(ctx context.Context, f flow) (net.Conn, error) {
	switch d.cfg.World {
	case WorldNone:
		return nil, errNoRoute
	case WorldOpen:
		c, err := dns.ClientConfigFromFile("/etc/resolv.conf")
		if err != nil || len(c.Servers) == 0 {
			return nil, os.ErrNotExist
		}
		return new(net.Dialer).DialContext(ctx, "udp", net.JoinHostPort(c.Servers[0], c.Port))
	}
	return d.dialWorld(ctx, flow{network: flowDNS, src: f.src, dst: f.dst})
}

// serveNames answers one datagram of questions, if not too many are under way.
func (n *Network) serveName(f flow, message []byte) {
	n.errand(func() {
		if answer := n.answerName(f, message); answer != nil {
			n.udp.reply(f, answer)
		}
	})
}

// serveNamesTCP answers questions on a connection until it ends.
func (n *Network) serveNamesTCP(guest *guestConn, f flow) {
	defer n.hold(guest)()
	defer guest.Close()
	conn := &dns.Conn{Conn: guest}
	for {
		_ = guest.SetDeadline(time.Now().Add(exchangeIdle))
		message, err := conn.ReadMsgHeader(nil)
		if err != nil {
			return
		}
		answer := n.answerName(f, message)
		if answer == nil {
			return
		}
		if _, err := conn.Write(answer); err != nil {
			return
		}
	}
}
