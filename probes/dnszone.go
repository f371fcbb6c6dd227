package probes

import (
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"time"

	miekg "github.com/miekg/dns"

	"bottle.internal/internal/echo"
)

// A Zone is what a DNSCanary is the authority for. The zero Zone is the kit's own, without addresses.
type Zone struct {
	// Name is the zone's, without the dot at the end. "" is canary.bottle.internal.
	Name string
	// Addrs are what a name's A and AAAA records lead to: those of Addrs[0] when it is first asked for, of Addrs[1] the second time,
	// and so on; the last stay. So a name can be rebound from one address to another. A and AAAA of one name are counted each by
	// itself. nil means that no name has an address.
	Addrs [][]netip.Addr
	// TTL is how long an answer may be kept, in whole seconds. 0 is not at all.
	TTL time.Duration
}

// canaryZone is what the names end in that the kit makes up. ".internal" is reserved for private use, so that it is nobody's.
const canaryZone = "canary.bottle.internal"

// A zone answers for a Zone. It is safe for concurrent use.
type zone struct {
	Zone
	apex string // fully qualified, lower case

	mu    sync.Mutex
	asked map[string]int // how often, by name and type
}

func newZone(z Zone) *zone {
	if z.Name == "" {
		z.Name = canaryZone
	}
	return &zone{Zone: z, apex: miekg.CanonicalName(z.Name), asked: make(map[string]int)}
}

// answer is the reply to the DNS message b, of at most size bytes if the question does not allow for more, or nil if b is no question.
// proof is that of the nonce in the name, "" if there is none: names with a nonce exist, and no others but the zone's own.
func (z *zone) answer(b []byte, size int, proof []byte) []byte {
	var q, r miekg.Msg
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
func (z *zone) fill(r *miekg.Msg, proof []byte) int {
	switch {
	case r.Opcode != miekg.OpcodeQuery:
		return miekg.RcodeNotImplemented
	case len(r.Question) != 1:
		return miekg.RcodeFormatError
	}
	q := r.Question[0]
	name := miekg.CanonicalName(q.Name)
	if q.Qclass != miekg.ClassINET || !miekg.IsSubDomain(z.apex, name) {
		return miekg.RcodeRefused
	}
	r.Authoritative = true
	r.Answer = z.records(q, name, proof)
	switch {
	case len(r.Answer) > 0:
		return miekg.RcodeSuccess
	case proof == nil && name != z.apex:
		r.Ns = []miekg.RR{z.soa()}
		return miekg.RcodeNameError
	}
	r.Ns = []miekg.RR{z.soa()}
	return miekg.RcodeSuccess
}

// records are those that q asks for.
func (z *zone) records(q miekg.Question, name string, proof []byte) []miekg.RR {
	head := miekg.RR_Header{Name: q.Name, Rrtype: q.Qtype, Class: miekg.ClassINET, Ttl: z.ttl()}
	switch {
	case name == z.apex && q.Qtype == miekg.TypeSOA:
		return []miekg.RR{z.soa()}
	case name == z.apex && q.Qtype == miekg.TypeNS:
		return []miekg.RR{&miekg.NS{Hdr: head, Ns: "ns." + z.apex}}
	case proof == nil:
		return nil
	}
	switch q.Qtype {
	case miekg.TypeTXT, miekg.TypeANY:
		head.Rrtype = miekg.TypeTXT
		return []miekg.RR{&miekg.TXT{Hdr: head, Txt: texts(proof)}}
	case miekg.TypeNULL:
		return []miekg.RR{&miekg.NULL{Hdr: head, Data: string(proof)}}
	case miekg.TypeA, miekg.TypeAAAA:
		return z.addresses(head, name)
	}
	return nil
}

func (z *zone) addresses(head miekg.RR_Header, name string) []miekg.RR {
	var all []miekg.RR
	for _, ip := range z.turn(name, head.Rrtype) {
		switch {
		case ip.Is4() && head.Rrtype == miekg.TypeA:
			all = append(all, &miekg.A{Hdr: head, A: ip.AsSlice()})
		case ip.Is6() && head.Rrtype == miekg.TypeAAAA:
			all = append(all, &miekg.AAAA{Hdr: head, AAAA: ip.AsSlice()})
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
	key := miekg.TypeToString[kind] + " " + name
	n, known := z.asked[key]
	if !known && len(z.asked) >= maxEntries {
		return z.Addrs[len(z.Addrs)-1]
	}
	z.asked[key] = n + 1
	return z.Addrs[min(n, len(z.Addrs)-1)]
}

func (z *zone) ttl() uint32 { return uint32(z.TTL / time.Second) }

func (z *zone) soa() *miekg.SOA {
	return &miekg.SOA{
		Hdr: miekg.RR_Header{Name: z.apex, Rrtype: miekg.TypeSOA, Class: miekg.ClassINET, Ttl: z.ttl()},
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
func proofOf(rr miekg.RR) (echo.Reply, error) {
	txt, ok := rr.(*miekg.TXT)
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
