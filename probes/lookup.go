package probes

import (
	"crypto/rand"
	"encoding/binary"
	"strings"

	"bottle.internal/internal/echo"
)

// dnsQuery is a DNS query for the record of that type of a name in zone that carries n, as a resolver's client sends it. zone is
// a name of valid labels; "" is the root.
func dnsQuery(n echo.Nonce, zone string, kind uint16) []byte {
	b := make([]byte, 2, 64)
	_, _ = rand.Read(b)
	b = append(b, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0) // recursion desired; one question
	for label := range strings.SplitSeq(strings.Trim(string(n)+"."+zone, "."), ".") {
		b = append(append(b, byte(len(label))), label...)
	}
	const class = 1
	b = binary.BigEndian.AppendUint16(append(b, 0), kind)
	return binary.BigEndian.AppendUint16(b, class)
}

// dnsOverTCP is such a query as it goes over a stream: its length before it.
func dnsOverTCP(n echo.Nonce, zone string, kind uint16) []byte {
	q := dnsQuery(n, zone, kind)
	return append(binary.BigEndian.AppendUint16(nil, uint16(len(q))), q...)
}
