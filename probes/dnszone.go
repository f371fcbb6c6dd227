package probes

import (
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/miekg/dns"

	"bottle.internal/internal/echo"
)

// A Zone is what a DNSCanary is the authority for. The zero Zone is CanaryZone without addresses.
type Zone struct {
	// Name is the zone's, without the dot at the end. "" is CanaryZone.
	Name string
	// Addrs are what a name's A and AAAA records lead to: those of Addrs[0] when it is first asked for, of Addrs[1] the second time,
	// and so on; the last stay. So a name can be rebound from one address to another. A and AAAA of one name are counted each by
	// itself. nil means that no name has an address.
	Addrs [][]netip.Addr
	// TTL is how long an answer may be kept, in whole seconds. 0 is not at all.
	TTL time.Duration
}

// CanaryZone is what the names end in that the kit makes up. ".internal" is reserved for private use, so that it is nobody's.
const CanaryZone = "canary.bottle.internal"

// A zone answers for a Zone. It is safe for concurrent use.
type zone struct {
	Zone
	apex string // fully qualified, lower case

	mu    sync.Mutex
	asked map[string]int // how often, by name and type
}

func newZone(z Zone) *zone {
	if z.Name == "" {
		z.Name = CanaryZone
	}
	return &zone{Zone: z, apex: dns.CanonicalName(z.Name), asked: make(map[string]int)}
}

// answer is the reply to the DNS message b, of at most size bytes if the question does not allow for more, or nil if b is no question.
// proof is that of the nonce in the name, "" if there is none: names with a nonce exist, and no others but the zone's own.
func (z *zone) answer(b []byte, size int, proof []byte) []byte {
	var q, r dns.Msg
	if q.Unpack(b) != nil || q.Response {
		return nil
	}
	r.SetReply(&q)
	r.Compress = true
	if opt := q.IsEdns0(); opt != nil {
		size = max(size, int(opt.UDPSize()))
		r.SetEdns0(opt.UDPSize(), false)
	}
	r.Rcode = z.fill(&r, proof)
	r.Truncate(size)
	out, err := r.Pack()
	if err != nil {
		return nil
	}
	return out
}

// fill answers the question of r and returns the code.
func (z *zone) fill(r *dns.Msg, proof []byte) int {
	switch {
	case r.Opcode != dns.OpcodeQuery:
		return dns.RcodeNotImplemented
	case len(r.Question) != 1:
		return dns.RcodeFormatError
	}
	q := r.Question[0]
	name := dns.CanonicalName(q.Name)
	if q.Qclass != dns.ClassINET || !dns.IsSubDomain(z.apex, name) {
		return dns.RcodeRefused
	}
	r.Authoritative = true
	r.Answer = z.records(q, name, proof)
	switch {
	case len(r.Answer) > 0:
		return dns.RcodeSuccess
	case proof == nil && name != z.apex:
		r.Ns = []dns.RR{z.soa()}
		return dns.RcodeNameError
	}
	r.Ns = []dns.RR{z.soa()}
	return dns.RcodeSuccess
}

// records are those that q asks for.
func (z *zone) records(q dns.Question, name string, proof []byte) []dns.RR {
	head := dns.RR_Header{Name: q.Name, Rrtype: q.Qtype, Class: dns.ClassINET, Ttl: z.ttl()}
	switch {
	case name == z.apex && q.Qtype == dns.TypeSOA:
		return []dns.RR{z.soa()}
	case name == z.apex && q.Qtype == dns.TypeNS:
		return []dns.RR{&dns.NS{Hdr: head, Ns: "ns." + z.apex}}
	case proof == nil:
		return nil
	}
	switch q.Qtype {
	case dns.TypeTXT, dns.TypeANY:
		head.Rrtype = dns.TypeTXT
		return []dns.RR{&dns.TXT{Hdr: head, Txt: texts(proof)}}
	case dns.TypeNULL:
		return []dns.RR{&dns.NULL{Hdr: head, Data: string(proof)}}
	case dns.TypeA, dns.TypeAAAA:
		return z.addresses(head, name)
	}
	return nil
}

func (z *zone) addresses(head dns.RR_Header, name string) []dns.RR {
	var all []dns.RR
	for _, ip := range z.turn(name, head.Rrtype) {
		switch {
		case ip.Is4() && head.Rrtype == dns.TypeA:
			all = append(all, &dns.A{Hdr: head, A: ip.AsSlice()})
		case ip.Is6() && head.Rrtype == dns.TypeAAAA:
			all = append(all, &dns.AAAA{Hdr: head, AAAA: ip.AsSlice()})
		}
	}
	return all
}

// turn is where name leads this time. As many names as a ledger has room for are counted; what comes after leads where it would at
// last, and the ledger is no witness by then.
func (z *zone) turn(name string, kind uint16) []netip.Addr {
	if len(z.Addrs) == 0 {
		return nil
	}
	z.mu.Lock()
	defer z.mu.Unlock()
	key := dns.TypeToString[kind] + " " + name
	n, known := z.asked[key]
	if !known && len(z.asked) >= maxEntries {
		return z.Addrs[len(z.Addrs)-1]
	}
	z.asked[key] = n + 1
	return z.Addrs[min(n, len(z.Addrs)-1)]
}

func (z *zone) ttl() uint32 { return uint32(z.TTL / time.Second) }

func (z *zone) soa() *dns.SOA {
	return &dns.SOA{
		Hdr: dns.RR_Header{Name: z.apex, Rrtype: dns.TypeSOA, Class: dns.ClassINET, Ttl: z.ttl()},
		Ns:  "ns." + z.apex, Mbox: "nobody." + z.apex, Serial: 1, Refresh: 3600, Retry: 600, Expire: 86400, Minttl: z.ttl(),
	}
}

// texts cuts b into strings of TXT, in which the library takes a backslash for an escape.
func texts(b []byte) []string {
	var all []string
	for len(b) > 0 {
		part := b[:min(len(b), 255)]
		b = b[len(part):]
		all = append(all, strings.ReplaceAll(string(part), `\`, `\\`))
	}
	return all
}

// proofOf reads the proof out of a TXT record of a zone.
func proofOf(rr dns.RR) (echo.Reply, error) {
	txt, ok := rr.(*dns.TXT)
	if !ok {
		return echo.Reply{}, echo.ErrForeign
	}
	return echo.ParseResponse(unescape(strings.Join(txt.Txt, "")))
}

// unescape undoes how the library writes the bytes of a TXT: what is special behind a backslash, what cannot be printed as one and
// three digits.
func unescape(text string) []byte {
	var all []byte
	for len(text) > 0 {
		c := text[0]
		text = text[1:]
		if c == '\\' && len(text) > 0 {
			n, err := strconv.ParseUint(text[:min(len(text), 3)], 10, 8)
			if err == nil && len(text) >= 3 {
				c, text = byte(n), text[3:]
			} else {
				c, text = text[0], text[1:]
			}
		}
		all = append(all, c)
	}
	return all
}
