package probes

import (
	"crypto/rand"
	"encoding/binary"

	"bottle.internal/internal/echo"
)

// The first byte of a QUIC long header (RFC 9000, 17.2): long form and fixed bit, then the type, of which 0 is Initial.
const (
	quicLong     = 0xc0
	quicTypeMask = 0x30
	quicV1       = 1
	// quicMinimum is the size below which a server ignores an Initial (RFC 9000, 14.1).
	quicMinimum = 1200
	// quicMaxID is how long a connection id may be in version 1.
	quicMaxID = 20
)

// quicInitial is a datagram that has the form of a QUIC version 1 Initial with n in its token, which travels in the clear. What
// would be encrypted is random, so that only its header can be read, by whoever has no key for it.
func quicInitial(n echo.Nonce) []byte {
	var random [quicMinimum]byte
	_, _ = rand.Read(random[:])
	b := []byte{quicLong | random[0]&0x0f} // the low bits are under header protection
	b = binary.BigEndian.AppendUint32(b, quicV1)
	b = append(append(b, 8), random[1:9]...)  // destination connection id
	b = append(append(b, 8), random[9:17]...) // source connection id
	b = append(append(b, byte(len(n))), n...) // token; its length is below 64, a variable-length integer of one byte
	const twoBytes = 0x4000                   // a variable-length integer of two bytes
	rest := quicMinimum - len(b) - 2          // packet number and payload
	b = binary.BigEndian.AppendUint16(b, twoBytes|uint16(rest))
	return append(b, random[quicMinimum-rest:]...)
}

// readQUIC finds a nonce in the token of a QUIC version 1 Initial. It reports false for what is none, and the empty nonce for an
// Initial without.
func readQUIC(b []byte) (echo.Nonce, bool) {
	c := cursor(b)
	first := c.uint(1)
	if first&quicLong != quicLong || first&quicTypeMask != 0 || c.uint(4) != quicV1 {
		return "", false
	}
	for range 2 {
		if id, whole := c.vector(1); !whole || len(id) > quicMaxID {
			return "", false
		}
	}
	token := c.take(c.varint())
	n, _ := findNonce(string(token))
	return n, true
}

// varint is the next variable-length integer of QUIC (RFC 9000, 16), at most what is left to read.
func (c *cursor) varint() int {
	if len(*c) == 0 {
		return 0
	}
	size := 1 << ((*c)[0] >> 6)
	b := c.take(size)
	v := uint64(b[0] & 0x3f)
	for _, x := range b[1:] {
		v = v<<8 | uint64(x)
	}
	return int(min(v, uint64(len(*c))))
}
