package probes

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/binary"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"time"

	"bottle.internal/internal/echo"
)

// An OriginCanary is a Canary that is a TLS server as well: a ClientHello that brings a nonce is logged and answered as a server answers
// it, with a certificate that is this canary's alone. By its first flight it proves itself without a client that goes on: in TLS 1.2 the
// certificate is in the clear, and its key signs what the client drew for this one hello. It is safe for concurrent use.
type OriginCanary struct {
	Canary
	cert tls.Certificate

	mu        sync.Mutex
	elsewhere netip.AddrPort        // where it sends those who ask to be sent
	requests  map[echo.Nonce][]byte // as they came, in the clear
}

// originLife is how long an origin's certificate is good for: longer than any run.
const originLife = 24 * time.Hour

// NewOriginCanary brings up an origin at addr, whose port may be 0 for any. listen is net.Listen if nil. It must be closed.
func NewOriginCanary(name string, addr netip.AddrPort, listen func(network, address string) (net.Listener, error)) (*OriginCanary, error) {
	if listen == nil {
		listen = net.Listen
	}
	cert, err := selfSigned()
	if err != nil {
		return nil, fmt.Errorf("probes: an origin's certificate: %w", err)
	}
	l, err := listen(tcpNetwork(addr.Addr()), addr.String())
	if err != nil {
		return nil, fmt.Errorf("probes: an origin at %q: %w", addr, err)
	}
	bound, err := boundTo(addr, l.Addr())
	if err != nil {
		_ = l.Close()
		return nil, err
	}
	c := &OriginCanary{Canary: Canary{addr: bound}, cert: cert, requests: make(map[echo.Nonce][]byte)}
	c.attend, c.answer = c.greet, c.remember
	c.serve(name, "tcp", l)
	return c, nil
}

// selfSigned is a certificate that nobody vouches for: what counts is whose key it has.
func selfSigned() (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	t := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: canaryZone}, DNSNames: []string{"*." + canaryZone},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(originLife),
	}
	der, err := x509.CreateCertificate(rand.Reader, t, t, key.Public(), key)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, err
}

// Fingerprint is the SHA-256 of the certificate.
func (c *OriginCanary) Fingerprint() [sha256.Size]byte { return sha256.Sum256(c.cert.Certificate[0]) }

// Alive makes a TLS handshake from the canary's own position, checks whose certificate it meets, and has a fresh nonce proved inside.
func (c *OriginCanary) Alive(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, aliveLimit)
	defer cancel()
	conn, err := nearby().DialContext(ctx, tcpNetwork(c.addr.Addr()), c.addr.String())
	if err != nil {
		return err
	}
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	client := tls.Client(conn, &tls.Config{InsecureSkipVerify: true, VerifyConnection: c.own}) //nolint:gosec // own knows its certificate
	defer func() { _ = client.Close() }()
	n := echo.NewNonce()
	if _, err := client.Write(echo.Request(n)); err != nil {
		return err
	}
	b, err := io.ReadAll(io.LimitReader(client, echo.MaxReply))
	if err != nil && len(b) == 0 {
		return err
	}
	reply, err := echo.ParseResponse(b)
	if err == nil && !c.secret.Verify(n, reply) {
		err = echo.ErrForeign
	}
	return err
}

// own is an error if the server is another.
func (c *OriginCanary) own(s tls.ConnectionState) error {
	if len(s.PeerCertificates) == 0 || sha256.Sum256(s.PeerCertificates[0].Raw) != c.Fingerprint() {
		return fmt.Errorf("the certificate is another's: %w", echo.ErrForeign)
	}
	return nil
}

// Target is the origin as a probe dials it.
func (c *OriginCanary) Target() Target {
	t := c.Canary.Target()
	t.Alive = c.Alive
	return t
}

// remember keeps what was said, as many times as a ledger has room for, and proves it.
func (c *OriginCanary) remember(v *visit, m message, b []byte) []byte {
	c.mu.Lock()
	if m.nonce != "" && len(c.requests) < maxEntries {
		c.requests[m.nonce] = bytes.Clone(b)
	}
	c.mu.Unlock()
	if answer := c.moved(m, b); answer != nil {
		return answer
	}
	return m.proveStream(v, c.secret)
}

// heard reports whether the request with n came with text in that header.
func (c *OriginCanary) heard(n echo.Nonce, header, text string) bool {
	c.mu.Lock()
	b := c.requests[n]
	c.mu.Unlock()
	r, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(b)))
	return err == nil && strings.Contains(strings.Join(r.Header.Values(header), "\n"), text)
}

// greet looks after one visitor: TLS is answered by TLS, and everything else as a canary answers it. The nonce is logged before.
func (c *OriginCanary) greet(ctx context.Context, conn net.Conn, v *visit) {
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	_ = conn.SetDeadline(time.Now().Add(visitLimit))
	m, b := readMessage(conn, v.sawAs)
	if m.form != "tls" {
		defer func() { _ = conn.Close() }()
		if reply := c.answer(v, m, b); reply != nil {
			_, _ = conn.Write(reply)
		}
		return
	}
	server := tls.Server(&reread{Conn: conn, r: io.MultiReader(bytes.NewReader(b), conn)}, &tls.Config{Certificates: []tls.Certificate{c.cert}, MinVersion: tls.VersionTLS12})
	serveStream(ctx, server, v, v.sawAs, c.answer)
}

// A reread is a connection whose first bytes were read ahead.
type reread struct {
	net.Conn
	r io.Reader
}

func (c *reread) Read(b []byte) (int, error) { return c.r.Read(b) }

// originHello is what a client of TLS 1.2 says first, with n as a protocol that it speaks and no name: a tunnel to a listed host may be
// used so, whatever the host is called.
func originHello(n echo.Nonce) []byte {
	return helloOf(&tls.Config{InsecureSkipVerify: true, NextProtos: []string{string(n)}, MinVersion: tls.VersionTLS12, MaxVersion: tls.VersionTLS12}) //nolint:gosec // it is read here who answers
}

// ProvedBy reports whether flight is the origin's answer to hello: the certificate is its own, and its key has signed what was drawn for
// hello and what was drawn for the answer (RFC 5246 7.4.3, RFC 8422 5.4).
func (c *OriginCanary) ProvedBy(hello, flight []byte) bool {
	const clientRandom, randomSize = 5 + 4 + 2, 32
	if len(hello) < clientRandom+randomSize {
		return false
	}
	f := readFlight(flight)
	key, ok := c.cert.PrivateKey.(*ecdsa.PrivateKey)
	if !ok || sha256.Sum256(f.certificate) != c.Fingerprint() || len(f.random) != randomSize {
		return false
	}
	digest := sha256.New()
	digest.Write(hello[clientRandom:][:randomSize])
	digest.Write(f.random)
	digest.Write(f.params)
	return f.scheme == uint16(tls.ECDSAWithP256AndSHA256) && ecdsa.VerifyASN1(&key.PublicKey, digest.Sum(nil), f.signature)
}

// A serverFlight is what matters of a TLS 1.2 server's first messages.
type serverFlight struct {
	random, certificate, params, signature []byte
	scheme                                 uint16
}

// readFlight reads as far as it understands. What is not there is nil.
func readFlight(b []byte) serverFlight {
	const serverHello, certificate, keyExchange = 2, 11, 12
	var f serverFlight
	for rest := cursor(handshakeBytes(b)); len(rest) > 0; {
		kind := rest.uint(1)
		body, whole := rest.vector(3)
		if !whole {
			break
		}
		switch kind {
		case serverHello:
			body.take(2) // the version
			f.random = body.take(32)
		case certificate:
			list, _ := body.vector(3)
			f.certificate, _ = list.vector(3)
		case keyExchange:
			f.readKeyExchange(body)
		}
	}
	return f
}

// readKeyExchange reads a curve's name, a point on it and the signature of both.
func (f *serverFlight) readKeyExchange(body cursor) {
	all := body
	body.take(1 + 2)
	body.vector(1)
	f.params = all[:len(all)-len(body)]
	if scheme := body.take(2); len(scheme) == 2 {
		f.scheme = binary.BigEndian.Uint16(scheme)
	}
	f.signature, _ = body.vector(2)
}
