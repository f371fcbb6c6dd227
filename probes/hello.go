package probes

import (
	"context"
	"crypto/tls"
	"io"
	"net"

	"bottle.internal/internal/echo"
)

// canaryName is a name that carries n in its first label.
func canaryName(n echo.Nonce) string { return string(n) + "." + canaryZone }

// clientHello is what a TLS client sends first to a server whose name carries n. It is crypto/tls's own, so that a middlebox
// which reads names finds one where it looks for it. No alpn means that the hello has none; each has 1 to 255 bytes.
func clientHello(n echo.Nonce, alpn ...string) []byte {
	return helloOf(&tls.Config{ServerName: canaryName(n), NextProtos: alpn})
}

// helloTo is what a TLS client says first to a server that it calls name, with alpn as the one protocol that it speaks.
func helloTo(name, alpn string) []byte {
	return helloOf(&tls.Config{ServerName: name, NextProtos: []string{alpn}})
}

// helloOf is what a TLS client with these settings sends first.
func helloOf(c *tls.Config) []byte {
	var first flight
	// The handshake has nobody to talk to and fails, when what is wanted is there.
	_ = tls.Client(&first, c).HandshakeContext(context.Background())
	return first.sent
}

// A flight is a connection that keeps what is written until something is read, which fails.
type flight struct {
	net.Conn
	sent []byte
	over bool
}

func (f *flight) Write(b []byte) (int, error) {
	if !f.over {
		f.sent = append(f.sent, b...)
	}
	return len(b), nil
}

func (f *flight) Read([]byte) (int, error) {
	f.over = true
	return 0, io.EOF
}

func (f *flight) Close() error { return nil }

// readHello finds a nonce in the server name or the protocols of a TLS ClientHello (RFC 8446, 4.1.2; RFC 6066, 3; RFC 7301, 3.1),
// and whether all of it has come. It reports false for what is no ClientHello. It reads on where a server would refuse: what a
// middlebox lets out counts, not whether a server would like it.
func readHello(b []byte) (n echo.Nonce, whole, ok bool) {
	const clientHello = 1
	hello := cursor(handshakeBytes(b))
	if len(hello) == 0 || hello[0] != clientHello {
		return "", false, false
	}
	hello.take(1)
	body, whole := hello.vector(3)
	body.take(2 + 32) // version, random
	for _, size := range []int{1, 2, 1} {
		body.vector(size) // session id, cipher suites, compression methods
	}
	extensions, _ := body.vector(2)
	for n == "" && len(extensions) > 0 {
		kind := extensions.uint(2)
		data, _ := extensions.vector(2)
		n = readExtension(kind, data)
	}
	return n, whole, true
}

// handshakeBytes joins what TLS records hold of a handshake, as far as they have come. A name may lie across two of them.
func handshakeBytes(b []byte) []byte {
	const handshake = 22
	var all []byte
	for records := cursor(b); len(records) > 0 && records[0] == handshake; {
		records.take(1 + 2) // the type and a version, which servers do not look at either
		fragment, _ := records.vector(2)
		all = append(all, fragment...)
	}
	return all
}

// readExtension finds a nonce in what has come whole of a server name or protocol list.
func readExtension(kind int, data cursor) echo.Nonce {
	const serverName, alpn = 0, 16
	if kind != serverName && kind != alpn {
		return ""
	}
	for list, _ := data.vector(2); len(list) > 0; {
		size := 1
		if kind == serverName {
			list.take(1) // the name's type, of which there is one
			size = 2
		}
		name, whole := list.vector(size)
		if n, ok := findNonce(string(name)); ok && whole {
			return n
		}
	}
	return ""
}

// A cursor is what is left to read of bytes that nobody vouches for. Reading beyond the end reads nothing.
type cursor []byte

// take is the next n bytes, or what there is.
func (c *cursor) take(n int) []byte {
	n = min(n, len(*c))
	b := (*c)[:n]
	*c = (*c)[n:]
	return b
}

// uint is the big-endian number in the next n bytes, or 0 if they are not all there.
func (c *cursor) uint(n int) int {
	b := c.take(n)
	if len(b) < n {
		return 0
	}
	v := 0
	for _, x := range b {
		v = v<<8 | int(x)
	}
	return v
}

// vector is what the length in the next n bytes is the length of, as far as it is there, and whether all of it is.
func (c *cursor) vector(n int) (v cursor, whole bool) {
	if len(*c) < n {
		c.take(n)
		return nil, false
	}
	size := c.uint(n)
	b := c.take(size)
	return b, len(b) == size
}
