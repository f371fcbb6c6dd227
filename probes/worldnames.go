package probes

import (
	"encoding/binary"
	"errors"
	"hash/fnv"
	"net/netip"
	"strings"
	"sync"

	"bottle.internal/internal/echo"
)

// A query is the first question of a DNS query (RFC 1035, 4.1).
type query struct {
	header []byte // the 12 bytes before it
	raw    []byte // the question itself
	name   string // its labels, lower case, joined by dots
	kind   uint16
}

// The record types that a world answers.
const (
	typeA    = 1
	typeTXT  = 16
	typeAAAA = 28
)

var errNoQuestion = errors.New("probes: no DNS query")

// parseQuery reads a query. Names of a question are never compressed.
func parseQuery(b []byte) (query, error) {
	const head, response = 12, 0x80
	if len(b) < head || b[2]&response != 0 || binary.BigEndian.Uint16(b[4:]) != 1 {
		return query{}, errNoQuestion
	}
	var labels []string
	at := head
	for {
		if at >= len(b) {
			return query{}, errNoQuestion
		}
		size := int(b[at])
		at++
		if size == 0 {
			break
		}
		if size > 63 || at+size > len(b) {
			return query{}, errNoQuestion
		}
		labels = append(labels, strings.ToLower(string(b[at:at+size])))
		at += size
	}
	if at+4 > len(b) {
		return query{}, errNoQuestion
	}
	return query{b[:head], b[head : at+4], strings.Join(labels, "."), binary.BigEndian.Uint16(b[at:])}, nil
}

// knownNames are names without a nonce that a probe asks for: whoever has them asked is no stranger. It is safe for concurrent use.
type knownNames struct{ all sync.Map }

func (k *knownNames) add(name string) { k.all.Store(strings.ToLower(strings.Trim(name, ".")), true) }

func (k *knownNames) knows(name string) bool {
	_, ok := k.all.Load(name)
	return ok
}

// nonce is the first label that is one: what a tunnel over DNS would carry out.
func (q query) nonce() (echo.Nonce, bool) {
	for label := range strings.SplitSeq(q.name, ".") {
		if n := echo.Nonce(label); n.Valid() {
			return n, true
		}
	}
	return "", false
}

// answer is the reply to q: proof for TXT, and for A and AAAA an address of the world's that is always the same for a name. Any
// other record does not exist, though every name does.
func (q query) answer(proof []byte) []byte {
	var data []byte
	switch q.kind {
	case typeA, typeAAAA:
		data = q.address().AsSlice()
	case typeTXT:
		for rest := proof; len(rest) > 0; rest = rest[min(len(rest), 255):] {
			part := rest[:min(len(rest), 255)]
			data = append(append(data, byte(len(part))), part...)
		}
	}
	b := append([]byte{}, q.header...)
	b[2], b[3] = b[2]&0x01|0x84, 0x80 // a reply, authoritative; recursion desired as asked, available; no error
	copy(b[6:], make([]byte, 6))
	b = append(b, q.raw...)
	if len(data) == 0 {
		return b
	}
	b[7] = 1
	const toTheQuestion, class, ttl = 0xc00c, 1, 60
	b = binary.BigEndian.AppendUint16(b, toTheQuestion)
	b = binary.BigEndian.AppendUint16(b, q.kind)
	b = binary.BigEndian.AppendUint16(b, class)
	b = binary.BigEndian.AppendUint32(b, ttl)
	b = binary.BigEndian.AppendUint16(b, uint16(len(data)))
	return append(b, data...)
}

// address is where a name leads: an address for documentation, so that nobody's.
func (q query) address() netip.Addr {
	sum := fnv.New32a()
	_, _ = sum.Write([]byte(q.name))
	n := sum.Sum32()
	if q.kind == typeA {
		return netip.AddrFrom4([4]byte{198, 51, 100, byte(1 + n%254)})
	}
	six := netip.MustParseAddr("2001:db8::").As16()
	binary.BigEndian.PutUint32(six[12:], n)
	return netip.AddrFrom16(six)
}
